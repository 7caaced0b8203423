package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// transaction runs fn in a transaction on a connection of its own, on which statements can be sent without waiting for the
// answers of those before: a round trip costs more than most of them.
func (p *postgres) transaction(on *gorm.DB, fn func(*gorm.DB, sender) error) error {
	return on.Connection(func(g *gorm.DB) error {
		conn, ok := g.Statement.ConnPool.(*sql.Conn)
		if !ok {
			return fmt.Errorf("a connection was expected, not %T", g.Statement.ConnPool)
		}
		return g.Transaction(func(t *gorm.DB) error { return fn(t, pipelined(conn)) })
	})
}

// errNoTransaction means that the connection is in no transaction any more: it was rolled back when its context ended.
var errNoTransaction = errors.New("the transaction has been rolled back")

// pipelined sends statements of one transaction together.
func pipelined(conn *sql.Conn) sender {
	kept := false // the mode in which plans are kept is on
	return func(ctx context.Context, list []queued) error {
		var failure error
		err := conn.Raw(func(dc any) error {
			c, ok := dc.(*stdlib.Conn)
			if !ok {
				return fmt.Errorf("a connection of pgx was expected, not %T", dc)
			}
			// What is sent outside a transaction would be committed at once.
			if status := c.Conn().PgConn().TxStatus(); status != 'T' {
				failure = errNoTransaction
				if ctx.Err() != nil {
					failure = ctx.Err()
				}
				return nil
			}
			failure = sendBatch(ctx, c.Conn(), withModes(list, &kept))
			return nil // and not that the connection broke: what would take it out of the pool waits for the transaction to end
		})
		if failure != nil {
			return failure
		}
		return err
	}
}

// withModes puts the changes of mode between statements. They end with the transaction, and no statement outside one is affected.
func withModes(list []queued, kept *bool) []queued {
	modes := map[bool]string{true: `SET LOCAL plan_cache_mode = force_generic_plan`, false: `SET LOCAL plan_cache_mode = force_custom_plan`}
	out := make([]queued, 0, len(list)+2)
	for i := range list {
		if list[i].kept != *kept {
			*kept = list[i].kept
			out = append(out, queued{sql: modes[*kept], fail: func(err error) error { return wrap("choose how to plan", err) }})
		}
		out = append(out, list[i])
	}
	return out
}

func sendBatch(ctx context.Context, conn *pgx.Conn, list []queued) (err error) {
	batch := &pgx.Batch{}
	for i := range list {
		batch.Queue(list[i].sql, list[i].vars...)
	}
	results := conn.SendBatch(ctx, batch)
	defer func() {
		if closing := results.Close(); err == nil {
			err = closing
		}
	}()
	for i := range list {
		if err := list[i].receive(results); err != nil {
			return list[i].fail(err)
		}
	}
	return nil
}

func (q *queued) receive(results pgx.BatchResults) error {
	if q.row == nil {
		tag, err := results.Exec()
		if err != nil || q.done == nil {
			return err
		}
		return q.done(tag.RowsAffected())
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := q.row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
