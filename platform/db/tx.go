package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Tx is one open transaction. Only Transaction makes one, so a write outside a transaction does not compile.
type Tx struct {
	Now dbtype.Time // the time of everything that the transaction writes

	gorm    *gorm.DB
	tenant  string
	dialect dialect
	state   *txState
}

// txState is what a transaction collects for its end.
type txState struct {
	db      *DB
	topics  []topic
	probe   commitProbe
	open    *localTransactions
	batches []*Batch
	last    *Batch // sent with what ends the transaction; nil: none
	send    executor
	ending  bool // all statements have succeeded, so a later error comes from the commit
	silent  bool // the notification is sent later, combined with others
	after   []func()
}

// commitProbe is the row that shows whether a transaction was committed. The transaction's id alone is not enough,
// because a server that crashes may reuse the id of a lost transaction for another one, which commits.
type commitProbe struct {
	tenant, table string
	column        string // an indexed column of the table, which has value in the row
	value, row    dbtype.ID
	transaction   string // the transaction's id; empty until the transaction is about to commit
}

// CommitProbe names a row, by its id, that the transaction has written to the table. If the answer of the commit is
// lost, the row shows whether the transaction was committed. The row is looked up by the indexed column, which has the
// given value.
func (tx Tx) CommitProbe(table, column string, value, row dbtype.ID) {
	tx.state.probe = commitProbe{tenant: tx.tenant, table: table, column: column, value: value, row: row}
}

// AfterCommit registers fn, which is called after the commit and before Transaction returns. It is not called if the
// commit fails. It must not block.
func (tx Tx) AfterCommit(fn func()) { tx.state.after = append(tx.state.after, fn) }

// Tenant returns the tenant of the transaction.
func (tx Tx) Tenant() string { return tx.tenant }

// maxAttempts is how often a transaction is run that the database rolls back because of a deadlock, a serialization
// failure or a busy lock.
const maxAttempts = 10

// Transaction runs fn in one transaction of the context's tenant and commits it if fn returns nil. If the database
// rolled the transaction back for a temporary reason, fn is run again, so it must not keep results of an earlier run.
// If the context ends before the commit, the transaction is rolled back.
func (d *DB) Transaction(ctx context.Context, fn func(tx Tx) error) error {
	t, err := d.tenant(ctx)
	if err != nil {
		return err
	}
	if t.readOnly != nil {
		return t.readOnly
	}
	if err := d.backend.checkFile(t.name, t.handles); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		state := &txState{db: d, open: &t.open}
		err := d.backend.transaction(t.writer(ctx), func(g *gorm.DB, send executor) error {
			state.send = send
			tx := Tx{Now: t.open.enter(state, d.Now), gorm: g, tenant: t.name, dialect: d.backend, state: state}
			if err := fn(tx); err != nil {
				return err
			}
			return d.finish(tx)
		})
		t.open.leave(state)
		if err != nil && state.ending && state.probe.transaction != "" {
			err = d.resolveInDoubt(ctx, state.probe, err)
		}
		if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			// What looks like a broken connection was caused by the end of ctx.
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		if err == nil {
			d.commits.Add(1)
		}
		if err == nil && state.silent {
			d.debounce.later(t.name, state.topics)
		}
		if err == nil {
			for _, fn := range state.after {
				fn()
			}
		}
		if err == nil || !d.backend.retryable(err) {
			return d.wrap(err)
		}
		if ctx.Value(heartbeatKey{}) != nil {
			d.backend.letGo(ctx, err)
		}
		if attempt == maxAttempts {
			return d.wrap(fmt.Errorf("gave up after %d attempts: %w", attempt, err))
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// Write is Transaction for a function that only adds statements to one batch. They are sent with the commit.
func (d *DB) Write(ctx context.Context, fn func(b *Batch) error) error {
	return d.Transaction(ctx, func(tx Tx) error {
		b := tx.Batch()
		if err := fn(b); err != nil {
			return err
		}
		return b.SendAtCommit()
	})
}

// finish sends the last batch of a transaction, with what ends the transaction: the notification, if one may be sent
// now, and the query for the transaction's id.
func (d *DB) finish(tx Tx) error {
	last := tx.state.last
	for _, b := range tx.state.batches {
		if b != last && (len(b.queue) > 0 || b.err != nil) {
			return ErrUnsent
		}
	}
	if last == nil {
		last = &Batch{tx: tx}
	}
	if len(tx.state.topics) > 0 {
		if d.debounce.allow(tx.tenant) {
			d.backend.addNotice(last, payload(d.instance, tx.state.topics))
		} else {
			tx.state.silent = true
		}
	}
	if tx.state.probe.table != "" {
		d.backend.addXID(last)
	}
	err := last.Send()
	tx.state.ending = err == nil
	return err
}

// inDoubtTimeout is how long resolve tries to find out whether a transaction was committed.
const inDoubtTimeout = 30 * time.Second

// resolveInDoubt returns nil if a transaction whose commit failed with cause was committed after all, and cause if it
// was not. If that cannot be found out, it returns ErrCommitUnknown.
func (d *DB) resolveInDoubt(ctx context.Context, w commitProbe, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), inDoubtTimeout)
	defer cancel()
	committed, err := d.backend.committed(ctx, w, cause)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrCommitUnknown, errors.Join(cause, err))
	case committed:
		return nil
	}
	return cause
}

// notifyLater sends combined notifications. One that fails is lost; see topic.
func (d *DB) notifyLater(ctx context.Context, name string, topics []topic) {
	d.mu.Lock()
	t := d.tenants[name]
	d.mu.Unlock()
	if t != nil {
		_ = d.backend.notify(ctx, t.reserved.Statement.ConnPool, name, payload(d.instance, topics))
	}
}

// pause waits 1 ms doubled per attempt. The wait is random, so that two conflicting transactions do not conflict
// again.
func pause(ctx context.Context, attempt int) error {
	d := time.Millisecond << min(attempt, 8)
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Exec runs a statement and returns how many rows it changed. See Args for the syntax of statements.
func (tx Tx) Exec(statement string, args Args) (int64, error) {
	var n int64
	b := &Batch{tx: tx}
	b.add("", statement, args, nil, func(changed int64, _ bool) error {
		n += changed
		return nil
	})
	return n, b.Send()
}

// Query runs a statement and calls row for each row of the result.
func (tx Tx) Query(statement string, args Args, row func(Scan) error) error {
	b := &Batch{tx: tx}
	b.Query("", statement, args, row)
	return b.Send()
}

// querier is a connection, a pool of them, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func query(
	ctx context.Context, on querier, dl dialect, tenant, statement string, args Args,
	row func(Scan) error,
) (err error) {
	text, vars, err := render(dl, tenant, statement, args)
	if err != nil {
		return err
	}
	rows, err := on.QueryContext(ctx, text, vars...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Wrap adds what was being done to an error. It returns nil for nil.
func Wrap(doing string, err error) error {
	if err != nil && doing != "" {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return err
}
