// Package db contains everything that depends on a database: opening it, its SQL dialect, transactions, statements
// over sets of rows, tenants and migrations. Only the code that recognises and drops tenants names tables itself. No
// other package imports a driver.
package db

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Errors that callers act on. Each is wrapped with what to do.
var (
	ErrInvalidURL     = errors.New("invalid database URL")
	ErrUnavailable    = errors.New("database unreachable")
	ErrSchemaOutdated = errors.New("database schema is behind this binary")
	ErrSchemaTooNew   = errors.New("database schema is ahead of this binary")
	ErrTenantNotFound = errors.New("no such tenant")
	ErrTenantName     = errors.New("invalid tenant name")
	ErrFileNotFound   = errors.New("database file not found")
	ErrForeignSchema  = errors.New("the file is not a sluice database")
	ErrCorrupt        = errors.New("the file is not a database, or is damaged")
	ErrReadOnly       = errors.New("the database is read-only")
	// ErrCommitUnknown means that the answer of the commit was lost.
	ErrCommitUnknown = errors.New("it is not known whether the transaction was committed")
	ErrDataRejected  = errors.New("the database refuses the data") // trying again is of no use

	// ErrReplaced means that the path of an open SQLite file no longer leads to that file. Nothing is written after
	// that.
	ErrReplaced = errors.New("the database file was moved, removed or replaced while it was open")
	// ErrHardLink means that a SQLite file has several names. SQLite's log belongs to one name of a file, and two
	// names would corrupt the file.
	ErrHardLink = errors.New("the database file has more than one name")
	// ErrNetworkFile means that a SQLite file is on a network file system, where SQLite's locks and shared memory do
	// not work between machines.
	ErrNetworkFile = errors.New("the database file is on a network file system")

	// ErrEncoding means that a PostgreSQL database is not UTF8. It must be, because inputs, outputs and logs hold any
	// text.
	ErrEncoding = errors.New("the database's encoding is not supported: UTF8 is needed")
	// ErrSearchPath means that a migration would have written to another schema.
	ErrSearchPath = errors.New("the connection does not keep its search_path")
	// ErrTransactionPooling means that a pooler assigns server connections per transaction, and the URL does not say
	// so.
	ErrTransactionPooling = errors.New("the connection goes through a pooler in transaction mode")
	// ErrMigratePooled means that migrations were asked for through a pooler in transaction mode. Schema changes need
	// a session.
	ErrMigratePooled = errors.New("migrations need a direct connection or a pooler in session mode")
)

// DB is one database server or one set of SQLite files. Any number of tenants share its connections. It is safe for
// concurrent use.
type DB struct {
	url      string
	instance string // identifies this process in notifications
	backend  backend
	clock    clock
	debounce *debouncer
	creates  bool // whether the default tenant's file may be created
	commits  atomic.Int64

	mu       sync.Mutex
	closed   bool
	tenants  map[string]*tenant
	openings singleflight.Group // by tenant
}

// backend is everything that differs between the databases.
type backend interface {
	// name returns "postgres" or "sqlite".
	name() string
	// open makes the handles of one tenant. It creates nothing except, if create is set, the default tenant's file.
	// It fails with ErrTenantNotFound if the tenant does not exist.
	open(ctx context.Context, tenant string, create bool) (handles, error)
	// create makes an empty tenant. It leaves an existing tenant unchanged.
	create(ctx context.Context, tenant string) error
	// measure implements DB.Measure.
	measure(ctx context.Context, tenant string, read *gorm.DB) (Measure, error)
	// migrate brings a tenant's schema up to date under a lock, however many processes start at once.
	migrate(ctx context.Context, tenant string) error
	// backup implements DB.Backup.
	backup(ctx context.Context, tenant string, readOnly bool, path string) error
	// checkFile returns ErrReplaced if the path of the tenant's file no longer leads to the file that the handles
	// have open.
	checkFile(tenant string, h handles) error
	// schemaVersion returns the version of a tenant's schema, 0 for an empty one.
	schemaVersion(ctx context.Context, read *gorm.DB) (int64, error)
	// newest returns the latest schema version that this binary knows.
	newest() int64
	// now reads the database's clock.
	now(ctx context.Context) (time.Time, error)
	// retryable reports whether an error means that the whole transaction was rolled back and may be tried again.
	retryable(err error) bool
	// unreachable reports whether an error means that the database could not be reached.
	unreachable(err error) bool
	// notify sends text to the tenant's listeners.
	notify(ctx context.Context, on gorm.ConnPool, tenant, text string) error
	// listen implements DB.Listen.
	listen(ctx context.Context, tenant, instance string, handle func(topic)) error
	// transaction runs fn in one transaction, and commits it if fn returns nil. fn sends its statements through the
	// sender.
	transaction(on *gorm.DB, fn func(g *gorm.DB, send executor) error) error
	// addNotice queues a notification of the tenant's listeners, which is sent only if the transaction commits.
	addNotice(b *Batch, text string)
	// addXID queues a query for the transaction's id, which committed needs. The id stays empty if the
	// transaction has written nothing, or if the database cannot lose the answer of a commit.
	addXID(b *Batch)
	// committed reports whether a transaction whose commit failed with cause was committed after all.
	committed(ctx context.Context, w commitProbe, cause error) (bool, error)
	// readOnly reports whether an error means that the database, or the session, accepts no writes.
	readOnly(err error) bool
	// reservedMade implements DB.Sessions.
	reservedMade() int64
	// letGo closes idle connections if an error says that the server has no connection left for a reserved one.
	letGo(ctx context.Context, err error)
	// isDataError reports whether an error is caused by the data, so that trying again is of no use.
	isDataError(err error) bool
	// isCorrupt reports whether an error means that the opened file is not a database, or is damaged.
	isCorrupt(err error) bool
	// watermark opens a Watermark's connection.
	watermark(ctx context.Context, tenant, table, column string) (watermark, error)
	// openTransactions implements DB.OpenTransactions.
	openTransactions(ctx context.Context, tenant, table string) (OpenTransactions, error)
	// storage implements DB.Storage.
	storage(ctx context.Context, tenant, table string) (Storage, error)
	// snapshot runs fn in a read-only transaction that sees one moment.
	snapshot(ctx context.Context, read *gorm.DB, fn func(*gorm.DB) error) error
	// allocateSequence implements DB.AllocateSequence.
	allocateSequence(tx Tx, table, column string, n int64) (int64, error)
	dialect
	tenancy
	close() error
}

// DefaultTenant is the tenant of a context that names none. It is the schema public in PostgreSQL, and the named file
// itself in SQLite.
const DefaultTenant = "default"

type (
	tenantKey    struct{}
	heartbeatKey struct{}
)

// WithHeartbeatPool returns a context whose operations use separate connections, so that a heartbeat never waits behind
// the work of its own worker.
func WithHeartbeatPool(ctx context.Context) context.Context {
	return context.WithValue(ctx, heartbeatKey{}, true)
}

func (t *tenant) writer(ctx context.Context) *gorm.DB {
	if ctx.Value(heartbeatKey{}) != nil {
		return t.reserved.WithContext(ctx)
	}
	return t.write.WithContext(ctx)
}

func (t *tenant) reader(ctx context.Context) *gorm.DB {
	if ctx.Value(heartbeatKey{}) != nil {
		return t.reserved.WithContext(ctx)
	}
	return t.read.WithContext(ctx)
}

// WithTenant returns a context whose operations happen in the named tenant.
func WithTenant(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, tenantKey{}, name)
}

// TenantOf returns the tenant that the context names, or DefaultTenant.
func TenantOf(ctx context.Context) string {
	if name, ok := ctx.Value(tenantKey{}).(string); ok && name != "" {
		return name
	}
	return DefaultTenant
}

// Open connects to the database that the URL names, sqlite://path or postgres://…, and reads its clock. It neither
// creates nor checks a schema; see Migrate and CheckSchema. A missing SQLite file is created on first use.
func Open(ctx context.Context, url string) (*DB, error) { return open(ctx, url, true) }

// OpenExisting is Open for commands that only read: if the SQLite file is missing, first use fails with ErrFileNotFound
// and creates nothing.
func OpenExisting(ctx context.Context, url string) (*DB, error) { return open(ctx, url, false) }

func open(ctx context.Context, url string, create bool) (*DB, error) {
	b, err := newBackend(ctx, url)
	if err != nil {
		return nil, err
	}
	d := &DB{
		url: url, instance: dbtype.NewID().String()[24:], backend: b, creates: create,
		tenants: map[string]*tenant{},
	}
	d.debounce = newDebouncer(d.notifyLater)
	if err := d.SyncClock(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return d, nil
}

// closeTimeout bounds the time in which Close sends the notifications of a tenant that it still holds.
const closeTimeout = time.Second

// Close sends the notifications of committed transactions that are still held back, and closes all connections.
func (d *DB) Close() error {
	d.debounce.flushAll(closeTimeout)
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

// Backend returns "postgres" or "sqlite", for messages and reports. No statement may depend on it.
func (d *DB) Backend() string { return d.backend.name() }

// Lateral reports whether a statement may use LATERAL, so that a short subquery for each row of a set needs only one
// statement, which is planned once.
func (d *DB) Lateral() bool { return d.backend.lateral() }

// In returns the condition that a key is in the result of a query: `= ANY (ARRAY(query))` on PostgreSQL, which keeps
// the subquery out of join planning, and `IN (query)` on SQLite.
func (d *DB) In(query string) string { return d.backend.in(query) }

// OwnsFile reports whether a path is that of the database's file, of a tenant's file, or of a file beside one of them
// (log, shared memory, lock). The path must be absolute and without symbolic links. The file need not exist.
func (d *DB) OwnsFile(path string) bool { return d.backend.ownsFile(path) }

// URL returns the URL that the database was opened with, its password included.
func (d *DB) URL() string { return d.url }

// Now returns the database's time without a query: the last reading of SyncClock, continued with this machine's
// monotonic clock.
func (d *DB) Now() time.Time { return d.clock.now() }

const clockReadings = 3

// SyncClock reads the database's clock, from which Now continues. Long-running processes call it from time to time.
func (d *DB) SyncClock(ctx context.Context) error {
	// The error of a reading is at most half its round trip, so the quickest of several readings is used.
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

// Sessions returns how many reserved connections have been made. If the number rises, the server may have been
// restarted.
func (d *DB) Sessions() int64 { return d.backend.reservedMade() }
