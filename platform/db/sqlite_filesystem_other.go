//go:build unix && !linux

package db

// checkFileSystem allows every file system, because only Linux's are known by number.
func (l *sqlite) checkFileSystem(string) error { return nil }
