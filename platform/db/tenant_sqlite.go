package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gorm.io/gorm"
)

// tenantPattern are the suffixes of the files that SQLite creates beside a database file.
var tenantPattern = []string{"-wal", "-shm", "-journal"}

// tenants finds files that are named after the default tenant's: sluice.acme.db beside sluice.db.
func (l *sqlite) tenants(ctx context.Context) (map[string]Tenant, error) {
	found := map[string]Tenant{}
	entries, err := os.ReadDir(filepath.Dir(l.path))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	ext := filepath.Ext(l.path)
	prefix := strings.TrimSuffix(filepath.Base(l.path), ext) + "."
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), prefix)
		if name, ok = cutSuffix(name, ext, ok); e.Name() == filepath.Base(l.path) {
			name, ok = DefaultTenant, true
		} else if name == DefaultTenant {
			ok = false // sluice.default.db has no tenant name
		}
		if !ok || CheckTenantName(name) != nil {
			continue
		}
		own, incarnation, err := l.own(ctx, name)
		if err != nil {
			return nil, err
		}
		if own {
			found[name] = Tenant{Name: name, Generation: incarnation}
		}
	}
	return found, nil
}

func cutSuffix(s, suffix string, ok bool) (string, bool) {
	before, found := strings.CutSuffix(s, suffix)
	return before, ok && found
}

// own reports whether a tenant's file belongs to this program. A file that was found to do so is not opened again.
func (l *sqlite) own(ctx context.Context, name string) (own bool, incarnation string, err error) {
	info, err := os.Stat(l.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, "", nil
	}
	if err != nil {
		return false, "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if l.known(name, info) {
		return true, generationOf(info), nil
	}
	_, err = l.inspect(ctx, name, false)
	switch {
	case errors.Is(err, ErrForeignSchema), errors.Is(err, ErrCorrupt), errors.Is(err, ErrTenantNotFound),
		l.isCorrupt(err):
		return false, "", nil
	case err != nil:
		return false, "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[name] = info
	return true, generationOf(info), nil
}

func (l *sqlite) known(name string, info fs.FileInfo) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, ok := l.seen[name]
	return ok && os.SameFile(seen, info)
}

// identity returns the file's device and inode numbers. A file keeps them when it is moved, and a copy has others.
func (l *sqlite) identity(_ context.Context, tenant string) (string, error) {
	info, err := os.Stat(l.file(tenant))
	if err != nil {
		return "", err
	}
	return "sqlite-" + generationOf(info), nil
}

func (l *sqlite) size(_ context.Context, tenant string) (n int64, err error) {
	for _, suffix := range append([]string{""}, tenantPattern...) {
		info, err := os.Stat(l.file(tenant) + suffix)
		if err == nil {
			n += info.Size()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	return n, nil
}

// lockDDL keeps migrations out, and removes the file of their lock at the end.
func (l *sqlite) lockDDL(ctx context.Context, tenant string) (func() error, error) {
	path := l.file(tenant) + lockSuffix
	unlock, err := lockFile(ctx, path)
	if err != nil {
		return nil, err
	}
	return func() error { return errors.Join(os.Remove(path), unlock()) }, nil
}

// lockExclusive does nothing, because a writing transaction excludes other writers from its start.
func (l *sqlite) lockExclusive(context.Context, gorm.ConnPool, string) error { return nil }

// markDropped drops one table, so that a process that has the file open gets errors afterwards, instead of writing to a
// deleted file. The missing table also marks a drop that was interrupted.
func (l *sqlite) markDropped(ctx context.Context, on gorm.ConnPool, _ string) error {
	_, err := on.ExecContext(ctx, `DROP TABLE IF EXISTS workers`)
	return err
}

// deleteTenant deletes the files. It leaves a file that no drop has erased.
func (l *sqlite) deleteTenant(ctx context.Context, tenant string, erased bool) (removed bool, err error) {
	if !erased {
		if erased, err = l.erased(ctx, tenant); err != nil || !erased {
			return false, err
		}
	}
	l.mu.Lock()
	delete(l.seen, tenant)
	l.mu.Unlock()
	// The file itself is removed first, because the tenant does not exist without it.
	for _, suffix := range append([]string{""}, tenantPattern...) {
		err := os.Remove(l.file(tenant) + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
		removed = removed || err == nil
	}
	return removed, nil
}

// isStale reports whether the tenant's path no longer leads to the file of the handles.
func (l *sqlite) isStale(tenant string, h handles) bool {
	info, err := os.Stat(l.file(tenant))
	return err != nil || h.file == nil || !os.SameFile(info, h.file)
}

// closeHandles closes a file's connections. If another file has the path by now, the last connection must not remove
// that file's log.
func (l *sqlite) closeHandles(h handles) error {
	if h.replaced() {
		if err := errors.Join(keepLog(h.write), keepLog(h.read)); err != nil {
			return err // the connections stay open until the process ends
		}
	}
	return errors.Join(closeGorm(h.write), closeGorm(h.read))
}

// ownsFile compares only names, so that a file that does not exist yet counts too.
func (l *sqlite) ownsFile(path string) bool {
	if filepath.Dir(path) != filepath.Dir(l.path) {
		return false
	}
	name := filepath.Base(path)
	for _, suffix := range append([]string{lockSuffix}, tenantPattern...) {
		name = strings.TrimSuffix(name, suffix)
	}
	if name == filepath.Base(l.path) {
		return true
	}
	ext := filepath.Ext(l.path)
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(filepath.Base(l.path), ext)+".")
	tenant, ok := cutSuffix(rest, ext, ok)
	return ok && CheckTenantName(tenant) == nil
}
