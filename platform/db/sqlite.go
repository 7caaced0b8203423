package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	litedriver "gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/migrations"
)

// sqlite is a file for the default tenant, and a file beside it for each other tenant.
type sqlite struct {
	path      string // without symbolic links, so that every name of the file leads to one lock and one log
	network   bool   // whether a network file system is allowed
	listeners atomic.Int64

	mu   sync.Mutex
	seen map[string]fs.FileInfo // files known to be this program's, by tenant
}

func newSQLite(path string) (backend, error) {
	path, network := strings.CutSuffix(path, networkOption)
	if strings.ContainsAny(path, "?\x00") || path == ":memory:" {
		return nil, fmt.Errorf("%w: %q: sqlite:// takes the path of a file and no option but %s", ErrInvalidURL, path,
			networkOption)
	}
	if dir := filepath.Dir(path); !isDir(dir) {
		return nil, fmt.Errorf("%w: there is no directory %s for the file %s", ErrUnavailable, dir, filepath.Base(path))
	}
	path, err := resolveLinks(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return &sqlite{path: path, network: network, seen: map[string]fs.FileInfo{}}, nil
}

// networkOption at the end of a path allows a file on a network file system. It is safe only if one machine uses the
// file.
const networkOption = "?allow_network_file_system=true"

// resolveLinks returns the path that a symbolic link leads to, even if that file does not exist yet.
func resolveLinks(path string) (string, error) {
	const maxLinks = 40
	path = filepath.Clean(path)
	for range maxLinks {
		target, err := os.Readlink(path)
		if err != nil {
			break // not a link, or missing
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func (l *sqlite) name() string { return sqliteName }
func (l *sqlite) close() error { return nil }

// file returns the path of a tenant's file, such as sluice.db for the default tenant and sluice.acme.db for acme.
func (l *sqlite) file(tenant string) string {
	if tenant == DefaultTenant {
		return l.path
	}
	ext := filepath.Ext(l.path)
	return strings.TrimSuffix(l.path, ext) + "." + tenant + ext
}

// sqlOpen opens a file for writing in WAL mode. FULL makes each commit survive a power failure. Writers pass
// _txlock=immediate, which takes the write lock at the start of a transaction: one that reads first and then writes
// would fail instead of waiting.
func (l *sqlite) sqlOpen(tenant string, options url.Values) *sql.DB {
	options.Set("_journal_mode", "WAL")
	options.Set("_synchronous", "FULL")
	return l.sqlOpenPlain(tenant, options)
}

// sqlOpenPlain opens a file without changing it.
func (l *sqlite) sqlOpenPlain(tenant string, options url.Values) *sql.DB {
	options.Set("_busy_timeout", "10000")
	options.Set("_foreign_keys", "on")
	options.Set("_cache_size", "-65536")
	if tenant != DefaultTenant && !options.Has("mode") {
		options.Set("mode", "rw") // a connection opened after a drop must not create an empty file
	}
	return openSQLite(l.file(tenant), options)
}

func (l *sqlite) open(ctx context.Context, tenant string, create bool) (handles, error) {
	readOnly, err := l.inspect(ctx, tenant, create)
	if err != nil {
		return handles{}, err
	}
	if create && readOnly == nil && tenant == DefaultTenant {
		if err := l.makeFile(tenant); err != nil {
			return handles{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	h, err := l.openFile(ctx, tenant, readOnly)
	if err != nil {
		return handles{}, err
	}
	h.path = l.file(tenant)
	if h.file, err = os.Stat(h.path); err != nil {
		return handles{}, errors.Join(err, closeGorm(h.write), closeGorm(h.read))
	}
	return h, nil
}

func (l *sqlite) openFile(ctx context.Context, tenant string, readOnly error) (handles, error) {
	if readOnly != nil {
		read, err := l.handle(ctx, tenant, l.sqlOpenPlain, readOnlyOptions(l.file(tenant)), 4)
		return handles{write: read, read: read, reserved: read, readOnly: readOnly}, err
	}
	write, err := l.handle(ctx, tenant, l.sqlOpen, url.Values{"_txlock": {"immediate"}}, 1)
	if err != nil {
		return handles{}, err
	}
	read, err := l.handle(ctx, tenant, l.sqlOpen, url.Values{"_query_only": {"on"}}, 4)
	if err != nil {
		return handles{}, errors.Join(err, closeGorm(write))
	}
	// A file has one writer, so there is no separate reserved connection.
	return handles{write: write, read: read, reserved: write}, nil
}

func (l *sqlite) handle(
	ctx context.Context, tenant string, open func(string, url.Values) *sql.DB, options url.Values, conns int,
) (*gorm.DB, error) {
	s := open(tenant, options)
	s.SetMaxOpenConns(conns)
	s.SetMaxIdleConns(conns)
	if tenant != DefaultTenant {
		s.SetConnMaxIdleTime(idleFile) // files of idle tenants are closed
	}
	if err := s.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", l.file(tenant), err), s.Close())
	}
	return gorm.Open(litedriver.New(litedriver.Config{Conn: s}), gormConfig(""))
}

func closeGorm(g *gorm.DB) error {
	s, err := g.DB()
	if err != nil {
		return err
	}
	return s.Close()
}

// idleFile is how long an unused connection to the file of a tenant other than the default one stays open.
const idleFile = 30 * time.Second

// create makes an empty file, and completes an interrupted drop of the same name.
func (l *sqlite) create(ctx context.Context, tenant string) (err error) {
	unlock, err := lockFile(ctx, l.file(tenant)+lockSuffix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if tenant != DefaultTenant {
		if _, err := l.deleteTenant(ctx, tenant, false); err != nil {
			return err
		}
	}
	return l.makeFile(tenant)
}

// makeFile creates an empty file that only its owner can read, because logs and outputs may hold secrets. It leaves
// an existing file unchanged. SQLite gives its log the same mode.
func (l *sqlite) makeFile(tenant string) error {
	f, err := os.OpenFile(l.file(tenant), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// checkFile returns ErrReplaced if the default tenant's file was moved, removed or replaced. It does not check other
// tenants, because the processes that serve them watch their files.
func (l *sqlite) checkFile(tenant string, h handles) error {
	if tenant != DefaultTenant || !l.isStale(tenant, h) {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrReplaced, l.file(tenant))
}

func (l *sqlite) newest() int64 { return newestOf(migrations.SQLite, sqliteName) }

func (l *sqlite) schemaVersion(_ context.Context, read *gorm.DB) (int64, error) {
	return readVersion(read, "no such table")
}

// migrate holds a lock on a file beside the database, because SQLite has no lock that covers several transactions.
func (l *sqlite) migrate(ctx context.Context, tenant string) (err error) {
	unlock, err := lockFile(ctx, l.file(tenant)+lockSuffix)
	if err != nil {
		return fmt.Errorf("wait for other migrations: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if _, err := l.inspect(ctx, tenant, true); err != nil {
		return err // dropped during the wait for the lock
	}
	s := l.sqlOpen(tenant, url.Values{"_txlock": {"immediate"}})
	defer func() { err = errors.Join(err, s.Close()) }()
	return migrateUp(ctx, s, migrations.SQLite, sqliteName)
}

// now returns this machine's time, which all processes on one file share.
func (l *sqlite) now(context.Context) (time.Time, error) {
	return time.Now(), nil
}

func (l *sqlite) snapshot(_ context.Context, read *gorm.DB, fn func(*gorm.DB) error) error {
	return read.Transaction(fn, &sql.TxOptions{ReadOnly: true})
}

func (l *sqlite) table(_, name string) string { return `"` + name + `"` }
func (l *sqlite) lateral() bool               { return false }
func (l *sqlite) in(query string) string      { return "IN (" + query + ")" }
func (l *sqlite) skipLocked() string          { return "" }
func (l *sqlite) forKeyShare() string         { return "" }
func (l *sqlite) forUpdate() string           { return "" }
func (l *sqlite) overridingIdentity() string  { return "" }
func (l *sqlite) serverName() string          { return "''" }
func (l *sqlite) clockReading() string        { return "0" }

// allocateSequence advances the number that the table assigns next.
func (l *sqlite) allocateSequence(tx Tx, table, _ string, n int64) (base int64, err error) {
	args := Args{"name": table, "n": n}
	_, err = tx.Exec(`INSERT INTO sqlite_sequence (name, seq) SELECT $name, 0 WHERE NOT EXISTS (SELECT 1
  FROM sqlite_sequence WHERE name = $name)`, args)
	if err != nil {
		return 0, err
	}
	err = tx.Query(`SELECT seq FROM sqlite_sequence WHERE name = $name`, args,
		func(scan Scan) error { return scan(&base) })
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(`UPDATE sqlite_sequence SET seq = seq + $n WHERE name = $name`, args)
	return base, err
}

// numbered returns false: SQLite searches all placeholders for each numbered or named one, which is quadratic.
func (l *sqlite) numbered() bool { return false }

func (l *sqlite) scalar(_ int, value any) (string, any) { return "?", value }
