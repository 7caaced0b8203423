package db

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

// channel is the name under which a tenant's processes talk. The tenant's name has been checked, so it needs no quoting.
func channel(tenant string) string { return "sluice_" + schemaOf(tenant) }

func (p *postgres) notify(ctx context.Context, on gorm.ConnPool, tenant, text string) error {
	_, err := on.ExecContext(ctx, `SELECT pg_notify($1, $2)`, channel(tenant), text)
	return err
}

func (p *postgres) queueNotice(state *txState, tenant, text string) {
	state.queue = append(state.queue, queued{
		sql: `SELECT pg_notify($1, $2)`, vars: []any{channel(tenant), text}, fail: func(err error) error { return wrap("notify", err) },
	})
}

// silence is after how long without a word a listener asks whether its connection is still there.
const silence = 30 * time.Second

// listen holds a connection of its own, outside all pools.
func (p *postgres) listen(ctx context.Context, tenant, instance string, heard func(topic)) error {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		if err := p.listenOnce(ctx, tenant, func() { attempt = 1; heard("") }, func(text string) { hear(instance, text, heard) }); err != nil && ctx.Err() == nil {
			if err := pause(ctx, attempt+4); err != nil {
				return nil //nolint:nilerr // ctx has ended: that is how listening ends
			}
		}
	}
	return nil
}

func (p *postgres) listenOnce(ctx context.Context, tenant string, connected func(), heard func(string)) (err error) {
	conn, err := pgx.ConnectConfig(ctx, p.config.ConnConfig.Copy())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, `LISTEN `+channel(tenant)); err != nil {
		return err
	}
	connected()
	for {
		wait, cancel := context.WithTimeout(ctx, silence)
		n, err := conn.WaitForNotification(wait)
		cancel()
		switch {
		case err == nil:
			heard(n.Payload)
		case ctx.Err() != nil:
			return nil
		case wait.Err() != nil:
			ask, cancel := context.WithTimeout(ctx, silence)
			err := conn.Ping(ask)
			cancel()
			if err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// queueTransactionID asks for the name of the transaction, so that the fate of its commit can be asked for later.
func (p *postgres) queueTransactionID(state *txState) {
	state.queue = append(state.queue, queued{
		sql:  `SELECT coalesce(pg_current_xact_id_if_assigned()::text, '')`,
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
