//go:build unix

package db

import (
	"fmt"
	"io/fs"
	"syscall"
)

// checkPlace refuses a file that can't be written safely where it is.
func (l *sqlite) checkPlace(path string, info fs.FileInfo) error {
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Nlink > 1 {
		return fmt.Errorf("%w: %s has %d hard links", ErrHardLink, path, s.Nlink)
	}
	return l.checkFileSystem(path)
}
