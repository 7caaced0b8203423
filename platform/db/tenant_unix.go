//go:build unix

package db

import (
	"io/fs"
	"strconv"
	"syscall"
)

// incarnationOf is the file's number: as long as somebody has the file open, no other gets its number.
func incarnationOf(info fs.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.ModTime().String()
	}
	return strconv.FormatUint(uint64(s.Dev), 10) + "." + strconv.FormatUint(s.Ino, 10) //nolint:unconvert // its type differs between systems
}
