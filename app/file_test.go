package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestFileIsItsOwners checks that only the owner may read a database file, its log and its copies.
func TestFileIsItsOwners(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "own.db")
	p := &program{url: "sqlite://" + path}
	serving := p.begin(t, "serve")
	dbtest.Eventually(t, "the worker is there",
		func() bool { return strings.Contains(p.run(t, "workers", "-o", "json").stdout, "hostname") })
	copied := filepath.Join(t.TempDir(), "copy.db")
	p.ok(t, "backup", copied)
	for _, name := range []string{path, path + "-wal", path + "-shm", copied} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", filepath.Base(name), mode)
		}
	}
	if r := serving.stop(t); r.code != 0 {
		t.Errorf("serve: exit code %d\n%s", r.code, r.stderr)
	}
}

// TestFileMoved checks that a server whose file is moved or replaced stops with a clear error within a lease, and
// writes nothing more.
func TestFileMoved(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, path string){
		"moved": func(t *testing.T, path string) {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Rename(path+suffix, path+".old"+suffix); err != nil {
					t.Error(err)
				}
			}
		},
		"removed": func(t *testing.T, path string) {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Remove(path + suffix); err != nil {
					t.Error(err)
				}
			}
		},
		"replaced": func(t *testing.T, path string) {
			other := dbtest.SQLiteURL(t)
			if err := os.Rename(strings.TrimPrefix(other, "sqlite://"), path); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "served.db")
			p := &program{url: "sqlite://" + path}
			serving := p.begin(t, "serve", "--lease", "2s")
			dbtest.Eventually(t, "the worker is there",
				func() bool { return strings.Contains(p.run(t, "workers", "-o", "json").stdout, "hostname") })
			change(t, path)
			r := serving.wait(t)
			if r.code != 4 {
				t.Errorf("exit code %d", r.code)
			}
			contains(t, r.stderr, "moved, removed or replaced", "start again with the file that is there now")
		})
	}
}

// TestLinks checks that every symbolic link leads to one file and one lock, and that a second hard link is refused.
func TestLinks(t *testing.T) {
	t.Parallel()
	real, links := t.TempDir(), t.TempDir()
	path := filepath.Join(real, "data.db")
	link := filepath.Join(links, "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	through := &program{url: "sqlite://" + link}
	through.ok(t, "run", "../examples/first.yaml")
	if _, err := os.Stat(path + ".lock"); err != nil {
		t.Errorf("the lock is not beside the file: %v", err)
	}
	if _, err := os.Lstat(link + ".lock"); err == nil {
		t.Error("there is a lock beside the link")
	}
	(&program{url: "sqlite:///" + path}).ok(t, "list") // four slashes, as other programs write an absolute path
	if err := os.Link(path, filepath.Join(real, "second.db")); err != nil {
		t.Fatal(err)
	}
	through.fails(t, 4, []string{"more than one name", "2 hard links", "find -samefile"}, "list")
}

// TestBackup checks that the copy is consistent while others write, is verified, and replaces nothing.
func TestBackup(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.SQLiteURL(t)}
	p.ok(t, "run", "../examples/first.yaml")
	copied := filepath.Join(t.TempDir(), "copy.db")
	contains(t, p.ok(t, "backup", copied), "copied", "checked 1 pipeline execution", "no breach")
	(&program{url: "sqlite://" + copied}).ok(t, "verify")
	p.fails(t, 2, []string{"the file exists", "copy.db"}, "backup", copied)
	p.fails(t, 2, []string{"no such file or directory"}, "backup", filepath.Join(t.TempDir(), "none", "copy.db"))
	entries, err := os.ReadDir(filepath.Dir(copied))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	postgres := &program{url: dbtest.PostgresURL(t)}
	postgres.fails(t, 2, []string{"only a SQLite database", "pg_dump"}, "backup", filepath.Join(t.TempDir(), "x.db"))
}
