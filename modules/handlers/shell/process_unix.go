//go:build unix && !linux

package shell

import (
	"os/exec"
	"syscall"
)

// attributes make the command the leader of its own session, and so of its own group and without a terminal. These
// systems have no signal for the death of a parent.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}

// awaitExit returns when cmd has ended, and reaps it, because not all of these systems can wait without reaping. The
// process id is therefore free for a moment before the group is signalled. A signal would reach another process only
// if the system reused the id within that moment.
func awaitExit(cmd *exec.Cmd) (reaped bool, err error) {
	return true, cmd.Wait()
}

// inMemory returns false, because it cannot detect file systems in memory on these systems.
func inMemory(string) bool { return false }
