package db

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// channel returns the name of the channel for a tenant's processes, or, for allTenants, of the channel for all
// processes. The tenant's name has been checked, so it needs no quoting.
func channel(tenant string) string {
	if tenant == allTenants {
		return "sluice"
	}
	return "sluice_" + schemaOf(tenant)
}

func (p *postgres) notify(ctx context.Context, on gorm.ConnPool, tenant, text string) error {
	_, err := on.ExecContext(ctx, `SELECT pg_notify($1, $2)`, channel(tenant), text)
	return err
}

func (p *postgres) addNotice(b *Batch, text string) {
	b.queue = append(b.queue, queuedStatement{
		sql: `SELECT pg_notify($1, $2)`, vars: []any{channel(b.tx.tenant), text}, kept: true,
		fail: func(err error) error { return Wrap("notify", err) },
	})
}

// pooledPoll is how often a listener behind a pooler in transaction mode assumes that it has missed something. LISTEN
// needs a session.
const pooledPoll = time.Second

// listen shares one connection, outside all pools, between all listeners of the process.
func (p *postgres) listen(ctx context.Context, tenant, instance string, handle func(topic)) error {
	if p.setup.transactionPooling {
		ticker := time.NewTicker(pooledPoll)
		defer ticker.Stop()
		for {
			handle("")
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			}
		}
	}
	p.listener.listen(ctx, channel(tenant), func(text string) {
		if text == resyncAll {
			handle("")
			return
		}
		deliver(instance, text, handle)
	})
	return nil
}

// addXID queues a query for the transaction's id, by which the result of its commit can be looked up
// later.
func (p *postgres) addXID(b *Batch) {
	b.queue = append(b.queue, queuedStatement{
		sql:  `SELECT coalesce(pg_current_xact_id_if_assigned()::text, '')`,
		kept: true,
		row:  func(scan Scan) error { return scan(&b.tx.state.probe.transaction) },
		fail: func(err error) error { return Wrap("name the transaction", err) },
	})
}

// committed finds out the result of a commit whose answer was lost. It repeats the question until the server can
// answer.
func (p *postgres) committed(ctx context.Context, w commitProbe, cause error) (bool, error) {
	if code := sqlState(cause); code != "" && !p.unreachable(cause) {
		return false, nil // the server refused the commit
	}
	for attempt := 1; ; attempt++ {
		var underWay, there bool
		err := p.reservedSQL.QueryRowContext(ctx,
			`SELECT coalesce(pg_xact_status($1::text::xid8) = 'in progress', false)`, w.transaction).Scan(&underWay)
		if sqlState(err) == "22023" {
			return false, nil // the id is in the future, so the server has lost the whole transaction
		}
		if err == nil && !underWay {
			err = p.reservedSQL.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM `+p.table(w.tenant, w.table)+
				` WHERE `+w.column+` = $1 AND id = $2)`, w.value, w.row).Scan(&there)
			if err == nil {
				return there, nil
			}
		}
		if err := pause(ctx, attempt); err != nil {
			return false, err
		}
	}
}
