package db

import (
	"context"

	"gorm.io/gorm"
)

// channel is the name under which a tenant's processes talk, and for allTenants that under which all do. The tenant's name has been
// checked, so it needs no quoting.
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

func (p *postgres) queueNotice(state *txState, tenant, text string) {
	state.queue = append(state.queue, queued{
		sql: `SELECT pg_notify($1, $2)`, vars: []any{channel(tenant), text}, kept: true, fail: func(err error) error { return wrap("notify", err) },
	})
}

// listen shares one connection, outside all pools, with everybody who listens.
func (p *postgres) listen(ctx context.Context, tenant, instance string, heard func(topic)) error {
	p.switchboard.listen(ctx, channel(tenant), func(text string) {
		if text == missed {
			heard("")
			return
		}
		hear(instance, text, heard)
	})
	return nil
}

// queueTransactionID asks for the name of the transaction, so that the fate of its commit can be asked for later.
func (p *postgres) queueTransactionID(state *txState) {
	state.queue = append(state.queue, queued{
		sql:  `SELECT coalesce(pg_current_xact_id_if_assigned()::text, '')`,
		kept: true,
		row:  func(scan func(...any) error) error { return scan(&state.witness.transaction) },
		fail: func(err error) error { return wrap("name the transaction", err) },
	})
}

// committed finds out what became of a commit whose answer was lost. It asks until the server knows.
func (p *postgres) committed(ctx context.Context, w witness, cause error) (bool, error) {
	if code := sqlState(cause); code != "" && !p.unreachable(cause) {
		return false, nil // the server has said no
	}
	for attempt := 1; ; attempt++ {
		var underWay, there bool
		err := p.reservedSQL.QueryRowContext(ctx, `SELECT coalesce(pg_xact_status($1::text::xid8) = 'in progress', false)`, w.transaction).Scan(&underWay)
		if sqlState(err) == "22023" {
			return false, nil // an id still to come: the server has forgotten all of the transaction
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
