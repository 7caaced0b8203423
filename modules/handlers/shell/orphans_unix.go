//go:build unix && !linux

package shell

import "syscall"

// These systems leave no process to this one.

func (*owner) owns(int) answer { return no }

func (*owner) signal(int, []syscall.Signal) bool { return false }
