//go:build unix

package db

import (
	"io/fs"
	"strconv"
	"syscall"
)

// generationOf returns the file's device and inode numbers. No other file gets them while a process has this one
// open.
func generationOf(info fs.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.ModTime().String()
	}
	device := strconv.FormatUint(uint64(s.Dev), 10) //nolint:unconvert // its type differs between systems
	return device + "." + strconv.FormatUint(s.Ino, 10)
}
