//go:build unix && !linux

package shell

import "syscall"

// On these systems, orphans are not inherited by this process.

func (*owner) owns(int) answer { return no }

func (*owner) signal(int, []syscall.Signal) bool { return false }
