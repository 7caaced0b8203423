package db

import (
	"context"
	"errors"
	"maps"

	"gorm.io/gorm"
)

// queuedStatement is a statement that waits to be sent.
type queuedStatement struct {
	sql  string
	vars []any
	kept bool // the server may keep its plan
	// for each row of a query's result; nil if the statement returns no rows
	row  func(scan func(dest ...any) error) error
	done func(changed int64) error // gets the number of rows; nil if it is not needed
	fail func(error) error         // wraps the error of this statement
}

// executor sends statements of one transaction to the database in their order, in as few round trips as possible.
type executor func(ctx context.Context, list []queuedStatement) error

// QueueExec queues a statement of the transaction. All queued statements are sent together, in their order, when a
// result is needed or the transaction ends. If the statement fails, the transaction ends with that error, wrapped with
// doing.
func (tx Tx) QueueExec(doing, statement string, args Args) error {
	return tx.enqueue(doing, statement, args, nil, nil)
}

// QueueExpect is QueueExec for a statement that must change exactly the expected number of rows. If it changes another
// number, the transaction ends with the error that short returns for that number.
func (tx Tx) QueueExpect(doing, statement string, args Args, expected int64, short func(changed int64) error) error {
	var total int64
	return tx.enqueue(doing, statement, args, nil, func(changed int64, last bool) error {
		if total += changed; last && total != expected {
			return short(total)
		}
		return nil
	})
}

// BulkInsertThreshold is the number of rows from which QueueInsert sends a set as a statement of its own.
const BulkInsertThreshold = 64

// QueueInsert is QueueExpect for the insertion of a set, at the end of the queue. No other queued statement may
// depend on the inserted rows. Successive smaller sets of the same statement are sent as one. The statement refers to
// the set as x.
func (tx Tx) QueueInsert(doing, statement string, set *RowSet, args Args, short func(written, expected int64) error) {
	if n := len(tx.state.inserts); n > 0 {
		last := tx.state.inserts[n-1]
		if last.statement == statement && last.set.Len() < BulkInsertThreshold && set.Len() < BulkInsertThreshold {
			last.set.append(set)
			return
		}
	}
	own := set.slice(0, set.rows) // own will grow, and the caller's set must not
	tx.state.inserts = append(tx.state.inserts, &insert{doing, statement, own, args, short})
}

// insert is a set of rows that wait to be inserted.
type insert struct {
	doing, statement string
	set              *RowSet
	args             Args
	short            func(written, expected int64) error
}

// appendInserts moves the collected inserts to the end of the queue.
func (tx Tx) appendInserts() error {
	inserts := tx.state.inserts
	tx.state.inserts = nil
	for _, i := range inserts {
		args := Args{"x": i.set}
		maps.Copy(args, i.args)
		n := int64(i.set.Len())
		if err := tx.QueueExpect(i.doing, i.statement, args,
			n, func(written int64) error { return i.short(written, n) }); err != nil {
			return err
		}
	}
	return nil
}

// QueueQuery queues a query. row is called for each row of its result before Flush returns.
func (tx Tx) QueueQuery(doing, statement string, args Args, row func(scan func(dest ...any) error) error) error {
	return tx.enqueue(doing, statement, args, row, nil)
}

// SendBatch sends the queued statements and waits for all results.
func (tx Tx) SendBatch() error {
	if err := tx.appendInserts(); err != nil {
		return err
	}
	list := tx.state.queue
	if len(list) == 0 {
		return nil
	}
	tx.state.queue = nil
	return tx.state.send(tx.gorm.Statement.Context, list)
}

// enqueue renders and queues a statement, once for each part of a set that is too large for one statement. done gets
// the number of rows of each part.
func (tx Tx) enqueue(
	doing, statement string, args Args, row func(func(...any) error) error, done func(changed int64, last bool) error,
) error {
	fail := func(err error) error { return wrap(doing, err) }
	from := len(tx.state.queue)
	err := eachChunk(tx.dialect, args, func(args Args) error {
		sql, vars, err := render(tx.dialect, tx.tenant, statement, args)
		if err != nil {
			return err
		}
		q := queuedStatement{sql: sql, vars: vars, kept: usesGenericPlan(statement, args), row: row, fail: fail}
		if done != nil {
			q.done = func(changed int64) error { return done(changed, false) }
		}
		tx.state.queue = append(tx.state.queue, q)
		return nil
	})
	if n := len(tx.state.queue); err == nil && done != nil && n > from {
		tx.state.queue[n-1].done = func(changed int64) error { return done(changed, true) }
	}
	return wrap(doing, err)
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
