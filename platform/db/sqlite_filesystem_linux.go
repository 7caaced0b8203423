package db

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// networkFileSystems are file systems, by the number that statfs reports, on which SQLite's locks or shared memory
// are not reliable.
var networkFileSystems = map[int64]string{
	unix.NFS_SUPER_MAGIC:  "NFS",
	unix.SMB_SUPER_MAGIC:  "SMB",
	unix.SMB2_SUPER_MAGIC: "SMB",
	unix.CIFS_SUPER_MAGIC: "CIFS",
	unix.AFS_SUPER_MAGIC:  "AFS",
	unix.CEPH_SUPER_MAGIC: "Ceph",
	unix.CODA_SUPER_MAGIC: "Coda",
	unix.V9FS_MAGIC:       "9P",
	0x0bd00bd0:            "Lustre",
	0x786f4256:            "VirtualBox shared folder",
	0x01161970:            "GFS2",
	0x7461636f:            "OCFS2",
}

// statfsType returns the kind of the file system that holds a path.
var statfsType = func(path string) (int64, error) {
	var s unix.Statfs_t
	err := unix.Statfs(path, &s)
	return int64(s.Type), err //nolint:unconvert // its type differs between architectures
}

// checkFileSystem refuses a network file system, unless the URL allows it.
func (l *sqlite) checkFileSystem(path string) error {
	if l.network {
		return nil
	}
	kind, err := statfsType(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if name, ok := networkFileSystems[kind]; ok {
		return fmt.Errorf("%w (%s): %s", ErrNetworkFile, name, path)
	}
	return nil
}
