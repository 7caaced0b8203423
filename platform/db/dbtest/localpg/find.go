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

// places are where systems keep the programs that they leave out of PATH, a folder a version.
var places = []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"}

// findBinaries gives the folder of initdb and postgres: PATH's, or else the newest version's.
func findBinaries() (string, error) {
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

// versionOf reads 15 from /usr/lib/postgresql/15/bin and from /usr/pgsql-15/bin; 0 when there is no number.
func versionOf(bin string) int {
	name := filepath.Base(filepath.Dir(bin))
	v, err := strconv.Atoi(name[strings.LastIndex(name, "-")+1:])
	if err != nil {
		return 0
	}
	return v
}

// serverUser is whom the server runs as: nil for this process's own user, another one for root, whom Postgres refuses.
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
