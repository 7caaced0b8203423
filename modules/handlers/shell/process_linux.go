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

// attributes make the command the leader of its own session, and so of its own group and without a terminal. The
// kernel kills the command if the worker dies without doing so itself, as after SIGKILL. That kills only the shell,
// so that it runs no further line of the script; a program that the shell is running at that moment runs to its end.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit returns when cmd has ended. It does not reap cmd unless it returns reaped. It waits with a pidfd and the
// runtime's poller, so it uses no thread while the command runs.
func awaitExit(cmd *exec.Cmd) (reaped bool, err error) {
	pid := cmd.Process.Pid
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil { // a kernel older than 5.10, or a container that forbids it
		return awaitBlocking(cmd)
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	defer func() { _ = file.Close() }() // only waited on
	if file.SetReadDeadline(time.Time{}) != nil {
		return awaitBlocking(cmd) // the poller does not support it
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

// hasEnded reports whether the child has ended and has not been reaped.
func hasEnded(pid int) (bool, error) {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && info.Signo != 0, err
		}
	}
}

// awaitBlocking is awaitExit for systems without pidfds. It uses a thread.
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

// inMemory reports whether dir is on a tmpfs with enough free space.
func inMemory(dir string) bool {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil || fs.Type != unix.TMPFS_MAGIC {
		return false
	}
	return fs.Bavail*uint64(fs.Bsize) >= minInMemory //nolint:gosec // a size
}
