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

// transaction runs fn in a transaction on a connection of its own, so that statements can be sent without waiting for
// the results of earlier ones. A round trip costs more than most statements.
func (p *postgres) transaction(on *gorm.DB, fn func(*gorm.DB, executor) error) error {
	return on.Connection(func(g *gorm.DB) error {
		conn, ok := g.Statement.ConnPool.(*sql.Conn)
		if !ok {
			return fmt.Errorf("a connection was expected, not %T", g.Statement.ConnPool)
		}
		return g.Transaction(func(t *gorm.DB) error { return fn(t, pipelined(conn, p.setup)) })
	})
}

// errNoTransaction means that the connection is no longer in a transaction, because its context ended and it was
// rolled back.
var errNoTransaction = errors.New("the transaction has been rolled back")

// pipelined returns a sender that sends the statements of one transaction together.
func pipelined(conn *sql.Conn, setup *sessionSetup) executor {
	kept := false // whether generic plans are switched on
	first := true
	return func(ctx context.Context, list []queuedStatement) error {
		var failure error
		err := conn.Raw(func(dc any) error {
			c, ok := dc.(*stdlib.Conn)
			if !ok {
				return fmt.Errorf("a connection of pgx was expected, not %T", dc)
			}
			// A statement sent outside a transaction would be committed immediately.
			if status := c.Conn().PgConn().TxStatus(); status != 'T' {
				failure = errNoTransaction
				if ctx.Err() != nil {
					failure = ctx.Err()
				}
				return nil
			}
			if first && setup.transactionPooling {
				local := queuedStatement{
					sql:  setup.local(),
					fail: func(err error) error { return Wrap("set the transaction's parameters", err) },
				}
				list = append([]queuedStatement{local}, list...)
			}
			first = false
			failure = sendBatch(ctx, c.Conn(), withPlanModes(list, &kept))
			// Reporting a broken connection would block, because removing it from the pool waits for the transaction.
			return nil
		})
		if failure != nil {
			return failure
		}
		return err
	}
}

// withPlanModes inserts the changes of plan_cache_mode between statements. They end with the transaction, so no
// statement outside it is affected.
func withPlanModes(list []queuedStatement, kept *bool) []queuedStatement {
	modes := map[bool]string{
		true:  `SET LOCAL plan_cache_mode = force_generic_plan`,
		false: `SET LOCAL plan_cache_mode = force_custom_plan`,
	}
	out := make([]queuedStatement, 0, len(list)+2)
	for i := range list {
		if list[i].kept != *kept {
			*kept = list[i].kept
			out = append(out, queuedStatement{
				sql:  modes[*kept],
				fail: func(err error) error { return Wrap("choose how to plan", err) },
			})
		}
		out = append(out, list[i])
	}
	return out
}

func sendBatch(ctx context.Context, conn *pgx.Conn, list []queuedStatement) (err error) {
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

func (q *queuedStatement) receive(results pgx.BatchResults) error {
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
