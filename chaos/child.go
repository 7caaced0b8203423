package chaos

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// child is a process that dies with this one, however this one ends.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed at its end
	err  error         // how it ended; read after done
}

// startChild starts a command whose SysProcAttr says what signal it gets when its parent dies. The parent, in that
// sense, is the thread that started it, so that thread is kept until the child's end.
func startChild(cmd *exec.Cmd) (*child, error) {
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.done)
		}
	}()
	return c, <-started
}

// signal sends a signal. A process that has ended is not an error.
func (c *child) signal(s syscall.Signal) error {
	if err := c.cmd.Process.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// orderly is how long a process may take to stop when it is asked to.
const orderly = 30 * time.Second

// stop asks the process to end, and kills it if it does not.
func (c *child) stop() {
	_ = c.signal(syscall.SIGTERM) // an ended process needs no signal
	timer := time.NewTimer(orderly)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		_ = c.signal(syscall.SIGKILL)
	}
}
