// Package db is everything that knows a database: opening it, its dialect, transactions, statements over sets of rows,
// tenants and migrations. It knows no table by meaning, and no other package imports a driver.
package db

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"
)

// Errors that callers act on. Each is wrapped with what to do.
var (
	ErrURL         = errors.New("invalid database URL")
	ErrUnavailable = errors.New("database unreachable")
	ErrBehind      = errors.New("database schema is behind this binary")
	ErrAhead       = errors.New("database schema is ahead of this binary")
	ErrNoTenant    = errors.New("no such tenant")
	ErrTenantName  = errors.New("invalid tenant name")
	ErrNoFile      = errors.New("there is no database file")
	ErrForeign     = errors.New("the file is no sluice database")
	ErrMalformed   = errors.New("the file is no database, or is damaged")
	ErrReadOnly    = errors.New("the database is read-only")
	ErrUnknown     = errors.New("it is not known whether the transaction was committed") // the answer of the commit was lost
	ErrRefused     = errors.New("the database refuses the data")                         // trying again is of no use

	// ErrReplaced: the SQLite file that was opened is not the one of that name any more. Nothing is written from then on.
	ErrReplaced = errors.New("the database file was moved, removed or replaced while it was open")
	// ErrHardLink: SQLite's log belongs to one name of a file, and two names would corrupt it.
	ErrHardLink = errors.New("the database file has more than one name")
	// ErrNetworkFile: SQLite's locks and shared memory do not work between machines.
	ErrNetworkFile = errors.New("the database file is on a network file system")

	// ErrEncoding: PostgreSQL databases must be UTF8, because inputs, outputs and logs hold any text.
	ErrEncoding = errors.New("the database's encoding is not supported: UTF8 is needed")
	// ErrSearchPath: a migration would have written to another schema.
	ErrSearchPath = errors.New("the connection does not keep its search_path")
	// ErrTransactionPooling: a pooler assigns server connections per transaction, and the URL does not say so.
	ErrTransactionPooling = errors.New("the connection goes through a pooler in transaction mode")
	// ErrMigratePooled: schema changes need a session.
	ErrMigratePooled = errors.New("migrations need a direct connection or a pooler in session mode")
)

// DB is one database server or SQLite file set, for any number of tenants over shared connections.
// It is safe for concurrent use.
type DB struct {
	url      string
	instance string // names this process in notifications
	backend  backend
	clock    clock
	debounce *debouncer
	creates  bool // the default tenant's file may be made
	commits  atomic.Int64

	mu       sync.Mutex
	closed   bool
	tenants  map[string]*tenant
	openings map[string]*opening
}

// backend is what differs between the databases, and the whole of it.
type backend interface {
	// name is "postgres" or "sqlite".
	name() string
	// open makes the handles of one tenant; it fails with ErrNoTenant rather than create anything but, if create says so, the
	// default tenant's file.
	open(ctx context.Context, tenant string, create bool) (handles, error)
	// create makes an empty tenant; one that is there already is left alone.
	create(ctx context.Context, tenant string) error
	// measure see DB.Measure.
	measure(ctx context.Context, tenant string, read *gorm.DB) (Measure, error)
	// migrate brings a tenant's schema up under a lock, however many processes start at once.
	migrate(ctx context.Context, tenant string) error
	// schemaVersion gives the version of a tenant's schema, 0 for an empty one.
	backup(ctx context.Context, tenant string, readOnly bool, path string) error
	// checkFile returns ErrReplaced if the tenant's file is not what the handles lead to any more.
	checkFile(tenant string, h handles) error
	schemaVersion(ctx context.Context, read *gorm.DB) (int64, error)
	// newest is the version that this binary knows.
	newest() int64
	// now reads the database's clock.
	now(ctx context.Context) (time.Time, error)
	// retryable reports whether an error means that the transaction was rolled back whole and may be tried again.
	retryable(err error) bool
	// unreachable reports whether an error means that the database could not be talked to.
	unreachable(err error) bool
	// notify tells listeners of the tenant.
	notify(ctx context.Context, on gorm.ConnPool, tenant, text string) error
	// listen see DB.Listen.
	listen(ctx context.Context, tenant, instance string, heard func(topic)) error
	// transaction runs fn in one transaction, and commits it if fn returns nil. What fn sends goes through the sender.
	transaction(on *gorm.DB, fn func(g *gorm.DB, send sender) error) error
	// queueNotice has listeners of the tenant told when, and only if, the transaction commits.
	queueNotice(state *txState, tenant, text string)
	// queueTransactionID asks for the name of the transaction, for committed; none if it has written nothing, or nothing can be lost.
	queueTransactionID(state *txState)
	// committed finds out what became of a transaction whose commit failed with cause.
	committed(ctx context.Context, w witness, cause error) (bool, error)
	// readOnly reports whether an error means that what is connected to takes no writes.
	readOnly(err error) bool
	// reservedMade see DB.Sessions.
	reservedMade() int64
	// letGo gives up idle connections if an error says that the database has none left for a reserved one.
	letGo(ctx context.Context, err error)
	// refused reports whether an error is the fault of the data, so that trying again is of no use.
	refused(err error) bool
	// malformed reports whether an error means that what was opened is no database, or is a damaged one.
	malformed(err error) bool
	// frontier opens a Frontier's connection.
	frontier(ctx context.Context, tenant, table, column string) (frontier, error)
	// horizon see DB.Horizon.
	horizon(ctx context.Context, tenant, table string) (Horizon, error)
	// storage see DB.Storage.
	storage(ctx context.Context, tenant, table string) (Storage, error)
	// snapshot begins a read-only transaction that sees one moment.
	snapshot(ctx context.Context, read *gorm.DB, fn func(*gorm.DB) error) error
	// reserve see DB.Reserve.
	reserve(tx Tx, table, column string, n int64) (int64, error)
	dialect
	tenancy
	close() error
}

// DefaultTenant is the tenant of those who name none: the schema public in Postgres, the named file itself in SQLite.
const DefaultTenant = "default"

type (
	tenantKey   struct{}
	reservedKey struct{}
)

// Reserved makes everything done with the context use connections that are kept apart, so that a heartbeat never waits for the
// work that it vouches for.
func Reserved(ctx context.Context) context.Context {
	return context.WithValue(ctx, reservedKey{}, true)
}

func (t *tenant) writer(ctx context.Context) *gorm.DB {
	if ctx.Value(reservedKey{}) != nil {
		return t.reserved.WithContext(ctx)
	}
	return t.write.WithContext(ctx)
}

func (t *tenant) reader(ctx context.Context) *gorm.DB {
	if ctx.Value(reservedKey{}) != nil {
		return t.reserved.WithContext(ctx)
	}
	return t.read.WithContext(ctx)
}

// WithTenant makes everything done with the context happen in the named tenant.
func WithTenant(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, tenantKey{}, name)
}

// TenantOf gives the tenant that the context names.
func TenantOf(ctx context.Context) string {
	if name, ok := ctx.Value(tenantKey{}).(string); ok && name != "" {
		return name
	}
	return DefaultTenant
}

// Open connects to the database that the URL names, sqlite://path or postgres://…, and reads its clock.
// It neither creates nor checks a schema: see Migrate and CheckSchema. A SQLite file that is not there is made on first use.
func Open(ctx context.Context, url string) (*DB, error) { return open(ctx, url, true) }

// OpenExisting is Open for those who only look: instead of making a file, first use fails with ErrNoFile.
func OpenExisting(ctx context.Context, url string) (*DB, error) { return open(ctx, url, false) }

func open(ctx context.Context, url string, create bool) (*DB, error) {
	b, err := newBackend(ctx, url)
	if err != nil {
		return nil, err
	}
	d := &DB{url: url, instance: NewID().String()[24:], backend: b, creates: create, tenants: map[string]*tenant{}, openings: map[string]*opening{}}
	d.debounce = newDebouncer(d.sendLater)
	if err := d.SyncClock(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return d, nil
}

// Close ends all connections.
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	d.closed = true
	for name, t := range d.tenants {
		delete(d.tenants, name)
		errs = append(errs, d.backend.closeHandles(t.handles))
	}
	return errors.Join(append(errs, d.backend.close())...)
}

// Backend is "postgres" or "sqlite", for people and reports; no statement may depend on it.
func (d *DB) Backend() string { return d.backend.name() }

// Lateral reports whether a statement may use LATERAL: with it, one short look for each row of a set is one statement to plan.
func (d *DB) Lateral() bool { return d.backend.lateral() }

// In is the condition that a key is one of those that a query finds. Where planning counts, the query is no part of a join that would
// have to be planned.
func (d *DB) In(query string) string { return d.backend.in(query) }

// OwnsFile reports whether a path, absolute and without links, is that of the database's file, of a tenant's, or of what stands
// beside one (log, shared memory, lock), whether or not the file exists.
func (d *DB) OwnsFile(path string) bool { return d.backend.ownsFile(path) }

// URL is what the database was opened with, its password included.
func (d *DB) URL() string { return d.url }

// Now is the database's clock, without asking it: the reading of the last SyncClock carried on by this machine's monotonic clock.
func (d *DB) Now() time.Time { return d.clock.now() }

const clockReadings = 3

// SyncClock reads the database's clock. Whoever runs for long calls it now and then.
func (d *DB) SyncClock(ctx context.Context) error {
	// A reading is as exact as half its round trip: the quickest of a few is taken.
	var base, anchor time.Time
	best := time.Duration(math.MaxInt64)
	for range clockReadings {
		before := time.Now()
		t, err := d.backend.now(ctx)
		took := time.Since(before)
		if err != nil {
			return d.wrap(fmt.Errorf("read the database's clock: %w", err))
		}
		if took < best {
			base, anchor, best = t, before.Add(took/2), took
		}
	}
	d.clock.set(base, anchor)
	return nil
}

// Read gives a handle for queries in the context's tenant. It never writes.
func (d *DB) Read(ctx context.Context) (*gorm.DB, error) {
	t, err := d.tenant(ctx)
	if err != nil {
		return nil, err
	}
	return t.reader(ctx), nil
}

// Snapshot runs queries that all see the same moment, and blocks no writer.
func (d *DB) Snapshot(ctx context.Context, fn func(*gorm.DB) error) error {
	t, err := d.tenant(ctx)
	if err != nil {
		return err
	}
	return d.wrap(d.backend.snapshot(ctx, t.reader(ctx), fn))
}

// Sessions counts the reserved connections that have been made. If it rises, the server may have been started anew.
func (d *DB) Sessions() int64 { return d.backend.reservedMade() }

// gormConfig is shared by all handles: no implicit transactions, errors returned and not logged, tables under their own names.
func gormConfig(prefix string) *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         false,
		DisableAutomaticPing:   true,
		QueryFields:            true,
		Logger:                 logger.Discard,
		NamingStrategy:         schema.NamingStrategy{TablePrefix: prefix, SingularTable: true},
		NowFunc:                func() time.Time { panic("time comes from the transaction") },
	}
}
