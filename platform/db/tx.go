package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"
)

// Tx is one open transaction. Only Transaction makes one, so a write outside a transaction does not compile.
type Tx struct {
	Now Time // the one instant of everything that the transaction writes

	gorm    *gorm.DB
	tenant  string
	dialect dialect
	state   *txState
}

// txState is what a transaction gathers for its end.
type txState struct {
	topics  []topic
	witness witness
	open    *openTransactions
	queue   []queued
	inserts []*insert
	send    sender
	ending  bool // everything has been written: what fails from now on is the commit
	silent  bool // the notification goes out later, with others
	after   []func()
}

// witness is what shows that a transaction was committed: a row that it wrote. Its id alone would not do: a server that crashes
// may give the id of a transaction that it forgot to another one, which commits.
type witness struct {
	tenant, table string
	column        string // an indexed column of the table, which has value in the row
	value, row    ID
	transaction   string // the transaction's id, once it is about to commit
}

// Witness makes sure that the fate of the commit can be found out if its answer is lost: by a row with that id which the
// transaction has written to the table. The row is looked for where the indexed column has the value.
func (tx Tx) Witness(table, column string, value, row ID) {
	tx.state.witness = witness{tenant: tx.tenant, table: table, column: column, value: value, row: row}
}

// AfterCommit has fn called once the transaction is committed, before Transaction returns. It is not called if that fails. It must be quick.
func (tx Tx) AfterCommit(fn func()) { tx.state.after = append(tx.state.after, fn) }

// Tenant is whose transaction it is.
func (tx Tx) Tenant() string { return tx.tenant }

// Attempts of a transaction that the database rolled back for no fault of its own (deadlock, serialization, busy).
const maxAttempts = 10

// Transaction runs fn in one transaction of the context's tenant and commits it when fn returns nil. When the database rolled
// the transaction back for a reason that passes, fn is run again, so it must not keep results of an earlier run.
// A context that ends before the commit rolls back.
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
		state := &txState{open: &t.open}
		err := d.backend.transaction(t.writer(ctx), func(g *gorm.DB, send sender) error {
			state.send = send
			tx := Tx{Now: t.open.enter(state, d.Now), gorm: g, tenant: t.name, dialect: d.backend, state: state}
			if err := fn(tx); err != nil {
				return err
			}
			return d.finish(tx)
		})
		t.open.leave(state)
		if err != nil && state.ending && state.witness.transaction != "" {
			err = d.resolve(ctx, state.witness, err)
		}
		if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w: %w", ctx.Err(), err) // the end of ctx broke the connection or rolled back, and that is what it looks like
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
		if ctx.Value(reservedKey{}) != nil {
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

// finish does what comes before the commit, with whatever is queued: the notification, if one is due now, and the transaction's name.
func (d *DB) finish(tx Tx) error {
	if len(tx.state.topics) > 0 {
		if d.debounce.allow(tx.tenant) {
			d.backend.queueNotice(tx.state, tx.tenant, payload(d.instance, tx.state.topics))
		} else {
			tx.state.silent = true
		}
	}
	if tx.state.witness.table != "" {
		d.backend.queueTransactionID(tx.state)
	}
	err := tx.Flush()
	tx.state.ending = err == nil
	return err
}

// longestDoubt is how long the fate of a commit is asked for.
const longestDoubt = 30 * time.Second

// resolve turns the error of a commit into what became of the transaction: nil if it was committed after all.
func (d *DB) resolve(ctx context.Context, w witness, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestDoubt)
	defer cancel()
	committed, err := d.backend.committed(ctx, w, cause)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnknown, errors.Join(cause, err))
	case committed:
		return nil
	}
	return cause
}

// sendLater sends notifications that were gathered. One that fails is lost, which listeners bear.
func (d *DB) sendLater(name string, topics []topic) {
	ctx, cancel := context.WithTimeout(context.Background(), longestDoubt)
	defer cancel()
	d.mu.Lock()
	t := d.tenants[name]
	d.mu.Unlock()
	if t != nil {
		_ = d.backend.notify(ctx, t.reserved.Statement.ConnPool, name, payload(d.instance, topics))
	}
}

// pause waits 1 ms doubled per attempt, spread so that two transactions in each other's way do not meet again.
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

// Exec runs a statement, after those that are queued, and gives the number of rows it changed. See Args for the statement's
// language.
func (tx Tx) Exec(statement string, args Args) (int64, error) {
	var n int64
	err := tx.enqueue("", statement, args, nil, func(changed int64, _ bool) error {
		n += changed
		return nil
	})
	if err == nil {
		err = tx.Flush()
	}
	return n, err
}

// Query runs a statement, after those that are queued, and hands each row of its result to row, whose scan reads the row's
// columns in order.
func (tx Tx) Query(statement string, args Args, row func(scan func(dest ...any) error) error) error {
	if err := tx.enqueue("", statement, args, row, nil); err != nil {
		return err
	}
	return tx.Flush()
}

// Query runs a reading statement outside any transaction; see Tx.Query.
func (d *DB) Query(ctx context.Context, statement string, args Args, row func(scan func(dest ...any) error) error) error {
	t, err := d.tenant(ctx)
	if err != nil {
		return err
	}
	return d.wrap(eachChunk(d.backend, args, func(args Args) error {
		g := t.reader(ctx)
		return query(ctx, g.Statement.ConnPool, d.backend, t.name, statement, args, row)
	}))
}

// querier is a connection, a pool of them, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func query(ctx context.Context, on querier, dl dialect, tenant, statement string, args Args, row func(scan func(dest ...any) error) error) (err error) {
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

// wrap says what was being done.
func wrap(doing string, err error) error {
	if err != nil && doing != "" {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return err
}
