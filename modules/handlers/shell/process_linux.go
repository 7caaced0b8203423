package shell

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// attributes put the command at the head of its own session, and so of its own group and without a terminal, and have the kernel kill it when the worker dies without a chance to do
// it, as by SIGKILL. That reaches the shell itself, so that no further line of the script is run; a program that the shell is just
// running ends its work.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit returns when cmd has ended, and leaves it to be reaped. It waits by a pidfd and the runtime's poller, and so takes no
// thread while the command runs.
func awaitExit(cmd *exec.Cmd) (reaped bool, err error) {
	pid := cmd.Process.Pid
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil { // a kernel before 5.10, or a container that forbids it
		return awaitBlocking(cmd)
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	defer func() { _ = file.Close() }() // it was only waited for
	if file.SetReadDeadline(time.Time{}) != nil {
		return awaitBlocking(cmd) // the poller does not take it
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return awaitBlocking(cmd)
	}
	var waitErr error
	if err := conn.Read(func(uintptr) bool {
		var ended bool
		ended, waitErr = hasEnded(pid)
		return ended || waitErr != nil
	}); err != nil || waitErr != nil {
		return awaitBlocking(cmd)
	}
	return false, nil
}

// hasEnded reports whether the child has ended and was not reaped.
func hasEnded(pid int) (bool, error) {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && info.Signo != 0, err
		}
	}
}

// awaitBlocking is awaitExit for systems without pidfds. It takes a thread.
func awaitBlocking(cmd *exec.Cmd) (reaped bool, err error) {
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

// inMemory reports whether dir is on a file system in memory that has enough space.
func inMemory(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && fs.Type == unix.TMPFS_MAGIC && fs.Bavail*uint64(fs.Bsize) >= leastInMemory //nolint:gosec // a size
}
