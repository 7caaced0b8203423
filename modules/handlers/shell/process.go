package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// drainDelay bounds how long the output is read after the whole group has been killed. What is in the pipes can be
// read immediately. Only a process that left the group (setsid) and was not killed can hold the pipes open longer.
const drainDelay = time.Second

// process is a command and everything that it starts, as one process group.
//
// The command is the group's leader, and the group's id is the leader's process id. The leader is therefore not
// reaped before the group has been killed: until then the system cannot reuse the id.
type process struct {
	cmd     *exec.Cmd
	owner   owner // of its orphans
	readers []*os.File
	exited  chan struct{} // closed when the leader has ended
	drained chan struct{} // closed when the output has ended, or reading it was given up
	release chan struct{} // closed when the leader may be reaped
	result  chan error    // the result of reaping the leader
}

// commands starts the commands of all handlers of this process.
var commands spawners

// start starts cmd and copies its output to the writers.
func start(cmd *exec.Cmd, o owner, stdout, stderr io.Writer) (*process, error) {
	p := &process{
		cmd: cmd, owner: o, exited: make(chan struct{}), drained: make(chan struct{}), release: make(chan struct{}),
		result: make(chan error, 1),
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, tasks.CannotStart(fmt.Errorf("pipe for stdout: %w", err))
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return nil, tasks.CannotStart(errors.Join(fmt.Errorf("pipe for stderr: %w", err), outR.Close(), outW.Close()))
	}
	p.readers = []*os.File{outR, errR}
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = outW, errW, attributes()
	err = commands.start(cmd)
	_, _ = outW.Close(), errW.Close() // the command holds its own copies; the output does not end while these are open
	if err != nil {
		p.closeReaders()
		return nil, err
	}
	p.owner.session = cmd.Process.Pid
	go p.reap()
	go p.drain(stdout, stderr)
	return p, nil
}

// reap reaps the leader once release is closed.
func (p *process) reap() {
	reaped, err := awaitExit(p.cmd)
	close(p.exited)
	<-p.release
	commands.ended(p.cmd.Process.Pid)
	if !reaped {
		err = p.cmd.Wait()
	}
	p.result <- err
}

// buffers are for reading output. Each running command uses two.
var buffers = sync.Pool{New: func() any { return new([copySize]byte) }}

const copySize = 16 << 10

func (p *process) drain(stdout, stderr io.Writer) {
	var wg sync.WaitGroup
	for i, w := range []io.Writer{stdout, stderr} {
		wg.Go(func() {
			buf := buffers.Get().(*[copySize]byte) //nolint:forcetypeassert // by New
			defer buffers.Put(buf)
			// The struct hides the file's other methods, so that CopyBuffer uses the buffer. The error is ignored: it
			// means that the reader was closed, because a stream's Write does not fail.
			_, _ = io.CopyBuffer(w, struct{ io.Reader }{p.readers[i]}, buf[:])
		})
	}
	wg.Wait()
	close(p.drained)
}

// wait returns when the group and its orphans are dead and its output has been read. stopped reports whether ctx
// ended before the leader did. err is the leader's result, as os/exec returns it. When the context ends, the group
// gets the grace period to end by itself, unless kill is closed.
func (p *process) wait(ctx context.Context, grace time.Duration, kill <-chan struct{}) (stopped bool, err error) {
	select {
	case <-p.exited:
	case <-ctx.Done():
		stopped = true
		p.terminate(grace, kill)
	}
	p.signal(syscall.SIGKILL)
	<-p.exited            // this process has now inherited its orphans
	p.owner.killOrphans() // before the leader's id, which is the session's, can be reused
	close(p.release)
	err = <-p.result
	giveUp := time.AfterFunc(drainDelay, p.closeReaders)
	<-p.drained
	giveUp.Stop()
	p.closeReaders()
	return stopped, err
}

// terminate sends SIGTERM to the group and its orphans, and returns when all have ended, grace has elapsed or kill is
// closed. It does not return when only the leader has ended: a shell dies of a signal at once, while the program that
// it runs may handle the signal and is entitled to the same grace period. A process of the group that still works
// holds the output open.
func (p *process) terminate(grace time.Duration, kill <-chan struct{}) {
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGCONT) // a stopped process handles the signal only when it continues
	timer := time.NewTimer(grace)
	defer timer.Stop()
	poll := time.NewTicker(orphanPoll)
	defer poll.Stop()
	asked := map[int]bool{}
	for exited, drained := p.exited, p.drained; ; {
		orphans := p.owner.signalOrphans(asked, syscall.SIGTERM, syscall.SIGCONT)
		if exited == nil && drained == nil && orphans == 0 {
			return
		}
		select {
		case <-exited:
			exited = nil
		case <-drained:
			drained = nil
		case <-poll.C:
		case <-kill:
			return
		case <-timer.C:
			return
		}
	}
}

// signal sends s to the group. The only possible error is that no process is left, because the group is this
// process's own child.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

func (p *process) closeReaders() {
	for _, r := range p.readers {
		_ = r.Close() // closing a reader twice is harmless
	}
}
