//go:build unix && !linux

package db

// checkFileSystem: only Linux's file systems are known by number.
func (l *sqlite) checkFileSystem(string) error { return nil }
