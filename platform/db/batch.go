package db

import (
	"context"
	"errors"

	"gorm.io/gorm"
)

// Scan reads the columns of one row of a result, in order.
type Scan = func(dest ...any) error

// queuedStatement is a statement of a batch.
type queuedStatement struct {
	sql  string
	vars []any
	kept bool                      // the server may keep its plan
	row  func(Scan) error          // for each row of a query's result; nil if the statement returns no rows
	done func(changed int64) error // gets the number of rows; nil if it is not needed
	fail func(error) error         // wraps the error of this statement
}

// executor sends statements of one transaction to the database in their order, in as few round trips as possible.
type executor func(ctx context.Context, list []queuedStatement) error

// Batch is a list of statements of one transaction. They are sent together, in their order, in one round trip where
// there is a server. Each batch must be sent, by Send or by SendAtCommit.
type Batch struct {
	tx    Tx
	queue []queuedStatement
	err   error // of the first statement that cannot be written; returned when the batch is sent
}

// ErrUnsent means that a transaction's function returned without sending a batch.
var ErrUnsent = errors.New("a batch was not sent")

// Batch returns an empty batch.
func (tx Tx) Batch() *Batch {
	b := &Batch{tx: tx}
	tx.state.batches = append(tx.state.batches, b)
	return b
}

// Tx returns the batch's transaction.
func (b *Batch) Tx() Tx { return b.tx }

// Exec adds a statement. If it fails, the batch fails with that error, wrapped with doing.
func (b *Batch) Exec(doing, statement string, args Args) { b.add(doing, statement, args, nil, nil) }

// ExecExpect is Exec for a statement that must change exactly the expected number of rows. If it changes another
// number, the batch fails with the error that short returns for that number.
func (b *Batch) ExecExpect(
	doing, statement string, args Args, expected int64, short func(changed int64) error,
) {
	var total int64
	b.add(doing, statement, args, nil, func(changed int64, last bool) error {
		if total += changed; last && total != expected {
			return short(total)
		}
		return nil
	})
}

// Query adds a query. row is called for each row of its result when the batch is sent.
func (b *Batch) Query(doing, statement string, args Args, row func(Scan) error) {
	b.add(doing, statement, args, row, nil)
}

// Send sends the batch and waits for all results. The batch is then empty and can be used again.
func (b *Batch) Send() error {
	list, err := b.queue, b.err
	b.queue, b.err = nil, nil
	if err != nil || len(list) == 0 {
		return err
	}
	return b.tx.state.send(b.tx.gorm.Statement.Context, list)
}

// SendAtCommit sends the batch together with what ends the transaction, which saves a round trip. The batch must be the
// last one of its transaction, and its results are only known when Transaction returns. SendAtCommit returns nil, so
// that the transaction's function can return its result.
func (b *Batch) SendAtCommit() error {
	b.tx.state.last = b
	return nil
}

// add writes a statement for the database and adds it, once for each part of a set that is too large for one statement.
// done gets the number of rows of each part.
func (b *Batch) add(
	doing, statement string, args Args, row func(Scan) error, done func(changed int64, last bool) error,
) {
	fail := func(err error) error { return Wrap(doing, err) }
	from := len(b.queue)
	err := eachChunk(b.tx.dialect, args, func(args Args) error {
		sql, vars, err := render(b.tx.dialect, b.tx.tenant, statement, args)
		if err != nil {
			return err
		}
		q := queuedStatement{sql: sql, vars: vars, kept: usesGenericPlan(statement, args), row: row, fail: fail}
		if done != nil {
			q.done = func(changed int64) error { return done(changed, false) }
		}
		b.queue = append(b.queue, q)
		return nil
	})
	if n := len(b.queue); err == nil && done != nil && n > from {
		b.queue[n-1].done = func(changed int64) error { return done(changed, true) }
	}
	if b.err == nil {
		b.err = fail(err)
	}
}

// execSequentially returns the sender of a database that needs no round trips. It checks ctx between statements and not
// during them, because the driver would watch ctx from another goroutine for each statement.
func execSequentially(g *gorm.DB) executor {
	return func(ctx context.Context, list []queuedStatement) error {
		for i := range list {
			if ctx.Err() != nil {
				return list[i].fail(ctx.Err())
			}
			if err := list[i].run(context.WithoutCancel(ctx), g.Statement.ConnPool); err != nil {
				return list[i].fail(err)
			}
		}
		return nil
	}
}

func (q *queuedStatement) run(ctx context.Context, on gorm.ConnPool) (err error) {
	if q.row == nil {
		// The statement is already rendered, so it goes to the connection directly, without GORM's own placeholders.
		r, err := on.ExecContext(ctx, q.sql, q.vars...)
		if err != nil || q.done == nil {
			return err
		}
		changed, err := r.RowsAffected()
		if err != nil {
			return err
		}
		return q.done(changed)
	}
	rows, err := on.QueryContext(ctx, q.sql, q.vars...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := q.row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
