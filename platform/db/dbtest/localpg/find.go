package localpg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrNotInstalled means that the machine has no PostgreSQL server programs.
var ErrNotInstalled = errors.New("PostgreSQL's programs initdb and postgres are not installed")

// places are where systems keep the programs that are not in PATH, with a directory for each version.
var places = []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"}

// Binaries returns the directory of initdb and postgres: the one in PATH, or else the newest version's. The
// error is ErrNotInstalled if there is none.
func Binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil && hasServer(filepath.Dir(path)) {
			return filepath.Dir(path), nil
		}
	}
	best, newest := "", 0
	for _, place := range places {
		found, err := filepath.Glob(place)
		if err != nil {
			return "", fmt.Errorf("look for PostgreSQL: %w", err)
		}
		for _, bin := range found {
			if v := versionOf(bin); v > newest && hasServer(bin) {
				best, newest = bin, v
			}
		}
	}
	if best == "" {
		return "", fmt.Errorf("%w: on Debian run `apt-get install postgresql`, or run `make setup`", ErrNotInstalled)
	}
	return best, nil
}

func hasServer(bin string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(bin, program)); err != nil {
			return false
		}
	}
	return true
}

// versionOf returns 15 for /usr/lib/postgresql/15/bin and for /usr/pgsql-15/bin, and 0 if there is no number.
func versionOf(bin string) int {
	name := filepath.Base(filepath.Dir(bin))
	v, err := strconv.Atoi(name[strings.LastIndex(name, "-")+1:])
	if err != nil {
		return 0
	}
	return v
}

// serverUser returns the user that runs the server: nil for this process's own user, or another user if this process
// runs as root, which PostgreSQL refuses.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if errUID == nil && errGID == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody")
}
