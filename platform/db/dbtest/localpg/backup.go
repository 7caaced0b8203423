package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Backup copies the data directory of a running server into a new directory, which Config.From accepts.
func Backup(ctx context.Context, url, dir string) error {
	return client(ctx, "pg_basebackup", "--dbname="+url, "--pgdata="+dir, "--wal-method=stream", "--checkpoint=fast")
}

// Dump writes a database into an SQL file.
func Dump(ctx context.Context, url, file string) error {
	return client(ctx, "pg_dump", "--dbname="+url, "--file="+file)
}

// Restore runs an SQL file in a database.
func Restore(ctx context.Context, url, file string) error {
	return client(ctx, "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname="+url, "--file="+file)
}

// client runs one of the client programs in the server's program directory.
func client(ctx context.Context, program string, args ...string) error {
	bin, err := Binaries()
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, filepath.Join(bin, program), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}

// adopt copies a data directory for the server.
func adopt(from, dir string, owner *syscall.Credential) error {
	to := dataDir(dir)
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return fmt.Errorf("copy the data folder: %w", err)
	}
	err := filepath.WalkDir(to, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && owner != nil {
			err = os.Chown(path, int(owner.Uid), int(owner.Gid))
		}
		return err
	})
	return errors.Join(err, os.Chmod(to, 0o700)) // the server refuses a directory that others may read
}
