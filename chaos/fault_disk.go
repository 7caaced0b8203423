package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// fullDisk fills the database's disk completely for a while.
type fullDisk struct{}

// FullDisk is the fault's name. It needs a separate disk for the database; see MountDisk.
const FullDisk = "full disk"

func (fullDisk) name() string { return FullDisk }

const (
	full  = 1500 * time.Millisecond // how long the disk stays full
	grain = 50 * time.Millisecond   // how often newly free space is filled too
)

func filler(r *round) string { return filepath.Join(r.config.Disk, "filler") }

func (fullDisk) apply(ctx context.Context, r *round) (bool, error) {
	f, err := os.OpenFile(filler(r), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return false, err
	}
	hit := false
	for end := time.Now().Add(full); time.Now().Before(end) && ctx.Err() == nil; pause(ctx, grain) {
		if err := fill(f); !errors.Is(err, syscall.ENOSPC) {
			return hit, errors.Join(fmt.Errorf("fill %s: %w", r.config.Disk, err), f.Close())
		}
		hit = true
	}
	return hit, f.Close()
}

// fill writes until the disk is full, at the end byte by byte.
func fill(f *os.File) error {
	for _, size := range []int{1 << 20, 1 << 12, 1} {
		block := make([]byte, size)
		for {
			if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				return err
			}
		}
	}
	return syscall.ENOSPC
}

// heal frees the disk, and does what an operator would then do: start a server that has stopped.
func (fullDisk) heal(ctx context.Context, r *round) error {
	if err := os.Remove(filler(r)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if r.server == nil {
		return nil
	}
	return r.server.revive(ctx)
}

// MountDisk mounts a disk in memory, of the given size in bytes, on an empty directory. Only root can do so. The
// returned function unmounts it; no file on it may be open then.
func MountDisk(dir string, size int64) (unmount func() error, err error) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=755", size)); err != nil {
		return nil, fmt.Errorf("mount a small disk on %s (the tests of a full disk need root): %w", dir, err)
	}
	return func() error { return syscall.Unmount(dir, syscall.MNT_DETACH) }, nil
}
