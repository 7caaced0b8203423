//go:build unix && !linux

package shell

import (
	"os/exec"
	"syscall"
)

// attributes put the command at the head of its own group. These systems have no signal for the death of a parent.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// awaitExit returns when cmd has ended. It reaps it: not all of these systems let one wait without. Its process id is then free for
// a moment before its group is signalled, and would have to be given away again within that moment to hit anybody else.
func awaitExit(cmd *exec.Cmd) (reaped bool, err error) {
	return true, cmd.Wait()
}
