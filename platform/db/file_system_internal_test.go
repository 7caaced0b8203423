package db

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNetworkFileSystems checks that a file on a network file system is refused with the file system's name, unless
// the URL allows it.
func TestNetworkFileSystems(t *testing.T) {
	before := statfsType
	t.Cleanup(func() { statfsType = before })
	statfsType = func(string) (int64, error) { return unix.NFS_SUPER_MAGIC, nil }
	path := t.TempDir() + "/shared.db"
	d, err := Open(t.Context(), "sqlite://"+path)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Migrate(t.Context()); !errors.Is(err, ErrNetworkFile) {
		t.Errorf("got %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	allowed, err := Open(t.Context(), "sqlite://"+path+networkOption)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(allowed.Migrate(t.Context()), allowed.Close()); err != nil {
		t.Error(err)
	}
}
