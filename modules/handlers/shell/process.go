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

// drainDelay is how long the output is still read once the whole group has been killed. What is in the pipes is there at once; only
// a process that has left the group (setsid), and that is not killed either, can hold them open longer. It does not hold up the task.
const drainDelay = time.Second

// process is a command with all that it starts: one process group.
//
// The command becomes the group's leader, and a group's id is its leader's process id. The leader is therefore not reaped before
// the group has been killed: until then the system cannot give that id to anybody else.
type process struct {
	cmd     *exec.Cmd
	owner   owner // of its orphans
	readers []*os.File
	exited  chan struct{} // closed when the leader has ended
	drained chan struct{} // closed when nobody holds the output open any more, or reading it was given up
	release chan struct{} // closed when the leader may be reaped
	result  chan error    // what reaping it gave
}

// commands starts the commands of all handlers of this process.
var commands spawners

// start starts cmd, whose output is copied to the writers.
func start(cmd *exec.Cmd, o owner, stdout, stderr io.Writer) (*process, error) {
	p := &process{
		cmd: cmd, owner: o, exited: make(chan struct{}), drained: make(chan struct{}), release: make(chan struct{}), result: make(chan error, 1),
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
	_, _ = outW.Close(), errW.Close() // the command has its own; while these are open, its output has no end
	if err != nil {
		p.closeReaders()
		return nil, err
	}
	p.owner.session = cmd.Process.Pid
	go p.reap()
	go p.drain(stdout, stderr)
	return p, nil
}

// reap reaps the leader.
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

// buffers are for reading output: there are two for each command that runs.
var buffers = sync.Pool{New: func() any { return new([copySize]byte) }}

const copySize = 16 << 10

func (p *process) drain(stdout, stderr io.Writer) {
	var wg sync.WaitGroup
	for i, w := range []io.Writer{stdout, stderr} {
		wg.Go(func() {
			buf := buffers.Get().(*[copySize]byte) //nolint:forcetypeassert // by New
			defer buffers.Put(buf)
			// Without its other methods, the file is read by way of the buffer. The error is that the reader was closed; a stream takes
			// all that is written to it.
			_, _ = io.CopyBuffer(w, struct{ io.Reader }{p.readers[i]}, buf[:])
		})
	}
	wg.Wait()
	close(p.drained)
}

// wait returns when the group and what it left behind are dead, and its output read. It reports whether ctx ended before the leader did. The error is the
// leader's end as os/exec gives it.
// When the context ends, the group has the grace to end by itself, unless kill is closed.
func (p *process) wait(ctx context.Context, grace time.Duration, kill <-chan struct{}) (stopped bool, err error) {
	select {
	case <-p.exited:
	case <-ctx.Done():
		stopped = true
		p.terminate(grace, kill)
	}
	p.signal(syscall.SIGKILL)
	<-p.exited            // whatever it left is now this process's
	p.owner.killOrphans() // before the leader's id, which is that of its session, can be given to another
	close(p.release)
	err = <-p.result
	giveUp := time.AfterFunc(drainDelay, p.closeReaders)
	<-p.drained
	giveUp.Stop()
	p.closeReaders()
	return stopped, err
}

// terminate asks the group, and what it leaves behind, to end and returns when they have, or when the grace is over. The leader's end
// alone does not do: a shell dies at once of a signal for which the program that it runs has a handler, and that program has the same
// right to the grace. What still works in the group holds the output open.
func (p *process) terminate(grace time.Duration, kill <-chan struct{}) {
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGCONT) // a stopped process gets the signal only when it continues
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

// signal cannot be refused but because there is nobody left to get it: the group is this process's own child.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

func (p *process) closeReaders() {
	for _, r := range p.readers {
		_ = r.Close() // a reader loses nothing by it, and to close it twice is harmless
	}
}
