package shell

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes put the command at the head of its own group and have the kernel kill it when the worker dies without a chance to do
// it, as by SIGKILL. That reaches the shell itself, so that no further line of the script is run; a program that the shell is just
// running ends its work.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit returns when cmd has ended, and leaves it to be reaped.
func awaitExit(cmd *exec.Cmd) (reaped bool, err error) {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case err == nil:
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return true, errors.Join(fmt.Errorf("wait for exit: %w", err), cmd.Wait())
		}
	}
}
