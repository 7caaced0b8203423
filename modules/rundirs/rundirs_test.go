package rundirs_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/modules/rundirs"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, base string, d *db.DB) *rundirs.Dirs {
	t.Helper()
	store, err := rundirs.New(base)
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := store.Of(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

func TestMake(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		base := filepath.Join(t.TempDir(), "not", "there")
		dirs, id := open(t, base, d), dbtype.NewID()
		if _, err := os.Stat(base); !os.IsNotExist(err) {
			t.Errorf("something was made before it was needed: %v", err)
		}
		var makers sync.WaitGroup
		for range 8 {
			makers.Go(func() {
				if err := dirs.Make(id); err != nil {
					t.Error(err)
				}
			})
		}
		makers.Wait()
		for path := dirs.Path(id); path != filepath.Dir(base); path = filepath.Dir(path) {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s: %v, %v", path, info, err)
			}
		}
		if again := open(t, base, d); again.Path(id) != dirs.Path(id) || !strings.HasPrefix(again.Path(id), base) {
			t.Errorf("another process finds %s, not %s", again.Path(id), dirs.Path(id))
		}
	})
}

func TestDatabasesShareNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		base, id := t.TempDir(), dbtype.NewID()
		one, other := open(t, base, d), open(t, base, dbtest.SQLite(t))
		if one.Path(id) == other.Path(id) {
			t.Errorf("two databases share %s", one.Path(id))
		}
		if err := one.Make(id); err != nil {
			t.Fatal(err)
		}
		if n, err := other.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("removed %d of another database's, %v", n, err)
		}
	})
}

// TestForeignPlace checks that a symbolic link in place of the database's directory is refused.
func TestForeignPlace(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		base, elsewhere, id := t.TempDir(), t.TempDir(), dbtype.NewID()
		dirs := open(t, base, d)
		if err := os.Symlink(elsewhere, filepath.Dir(dirs.Path(id))); err != nil {
			t.Fatal(err)
		}
		if err := dirs.Make(id); err == nil || !strings.Contains(err.Error(), "is not a directory") {
			t.Errorf("got %v", err)
		}
	})
}

// TestSweep checks that directories that belong to no run of the database are removed, whatever their modes, and that
// nothing else is.
func TestSweep(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		dirs, id := open(t, t.TempDir(), d), dbtype.NewID()
		if n, err := dirs.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("without any: %d, %v", n, err)
		}
		if err := dirs.Make(id); err != nil {
			t.Fatal(err)
		}
		deep := filepath.Join(dirs.Path(id), "a", "b")
		other := filepath.Join(filepath.Dir(dirs.Path(id)), "not-of-a-run")
		for _, dir := range []string{deep, other} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(deep, "file"), nil, 0o400); err != nil {
			t.Fatal(err)
		}
		for dir := deep; dir != filepath.Dir(dirs.Path(id)); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o500); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := dirs.Count(t.Context()); n != 1 || err != nil {
			t.Errorf("counted %d, %v", n, err)
		}
		if n, err := dirs.Sweep(t.Context()); n != 1 || err != nil {
			t.Errorf("removed %d, %v", n, err)
		}
		if _, err := os.Stat(dirs.Path(id)); !os.IsNotExist(err) {
			t.Errorf("it is still there: %v", err)
		}
		if _, err := os.Stat(other); err != nil {
			t.Error(err)
		}
	})
}
