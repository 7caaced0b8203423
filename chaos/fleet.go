package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/sluiceworks/sluice/chaos/step"
)

// processes keeps a number of worker processes alive, whatever happens to them.
type processes struct {
	config  Config
	url     string
	ledgers string // directory
	logs    *logs

	idle chan *place // those that no fault uses

	mu     sync.Mutex
	ends   []end
	faults []string // unexplained ends
	seq    int
}

func newProcesses(c Config, url string, l *logs) *processes {
	return &processes{config: c, url: url, ledgers: c.Dir, logs: l, idle: make(chan *place, c.Workers)}
}

// place is one worker, through all its processes.
type place struct {
	number int

	mu      sync.Mutex
	proc    *child
	serving chan struct{} // closed when the current process works
	wanted  bool          // a fault ends it, so its end is expected
}

// end is how and when a fault ended a process.
type end struct {
	pid  int
	at   time.Time
	kind string
}

// restartPause is the pause after a process that could not start.
const restartPause = 200 * time.Millisecond

// exitUnreachable is the program's exit code if it cannot reach its database at its start.
const exitUnreachable = 4

// exitInterrupted is the program's exit code if it is stopped before it has begun.
const exitInterrupted = 130

// run keeps the processes alive until ctx ends, and then stops them in order.
func (f *processes) run(ctx context.Context, workers int) error {
	var all sync.WaitGroup
	errs := make(chan error, workers)
	for i := range workers {
		all.Go(func() { errs <- f.keep(ctx, &place{number: i, serving: make(chan struct{})}) })
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *processes) keep(ctx context.Context, p *place) error {
	f.idle <- p
	for ctx.Err() == nil {
		if err := f.live(ctx, p); err != nil {
			return fmt.Errorf("worker %d: %w", p.number, err)
		}
	}
	return nil
}

// live runs one process to its end.
func (f *processes) live(ctx context.Context, p *place) error {
	f.mu.Lock()
	f.seq++
	name := fmt.Sprintf("%d-%d", p.number, f.seq)
	f.mu.Unlock()
	log, err := os.Create(filepath.Join(f.ledgers, name+".log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // only for people
	binary := f.config.Worker
	if f.config.Skewed != "" && p.number == 0 {
		binary = f.config.Skewed
	}
	// The end of ctx is an orderly end; see stop.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), binary, "--database-url", f.url, "serve", "--lease",
		f.config.Lease.String(),
		"--workers", strconv.Itoa(f.config.Slots), "--drain", drain.String())
	cmd.Env = append(os.Environ(), step.LedgerEnv+"="+filepath.Join(f.ledgers, name+".ledger"))
	cmd.Dir, cmd.SysProcAttr = f.ledgers, f.config.namespaces(p.number)
	stderr, words, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = stderr.Close() }() // read to its end
	cmd.Stderr = words
	serving := make(chan struct{})
	p.mu.Lock()
	p.proc, err = startChild(cmd)
	proc := p.proc
	p.serving, p.wanted = serving, false
	p.mu.Unlock()
	if closing := words.Close(); err != nil || closing != nil {
		return fmt.Errorf("start: %w, %w", err, closing)
	}
	stop := context.AfterFunc(ctx, func() { f.stop(proc) })
	defer stop()
	var once sync.Once
	last := f.logs.read(stderr, log, func() { once.Do(func() { close(serving) }) })
	<-proc.done
	f.ended(ctx, p, proc, last)
	return nil
}

// stop ends a process at the end of the round.
func (f *processes) stop(proc *child) {
	if f.config.Brutal {
		_ = proc.signal(syscall.SIGKILL) // an ended process needs no signal
		return
	}
	proc.stop()
}

// ended checks how a process ended, and records an unexplained end as a fault.
func (f *processes) ended(ctx context.Context, p *place, proc *child, last string) {
	p.mu.Lock()
	wanted := p.wanted
	p.mu.Unlock()
	code := proc.cmd.ProcessState.ExitCode()
	switch {
	case wanted, ctx.Err() != nil && (code == 0 || code == exitInterrupted || f.config.Brutal):
	case code == step.ExitCode:
		f.note(proc.pid(), "exit")
	case code == exitUnreachable:
		f.note(proc.pid(), "unreachable")
		pause(ctx, restartPause)
	default:
		f.mu.Lock()
		f.faults = append(f.faults,
			fmt.Sprintf("worker process %d ended by itself: %v\n%s", proc.pid(), proc.err, last))
		f.mu.Unlock()
		pause(ctx, restartPause)
	}
}

func (f *processes) note(pid int, kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ends = append(f.ends, end{pid: pid, at: time.Now(), kind: kind})
}

// borrow takes a random place whose process works. Only one fault at a time has a place.
func (f *processes) borrow(ctx context.Context) (*place, error) {
	// Channels are first in, first out, so a random number of rounds makes the choice random.
	for turns := rand.IntN(f.config.Workers); ; turns-- {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case p := <-f.idle:
			if turns > 0 {
				f.idle <- p
				continue
			}
			if err := p.await(ctx); err != nil {
				f.idle <- p
				return nil, err
			}
			return p, nil
		}
	}
}

func (f *processes) giveBack(p *place) { f.idle <- p }

// await waits until a process of the place works.
func (p *place) await(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !p.works() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func (p *place) works() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc == nil {
		return false
	}
	select {
	case <-p.proc.done:
		return false
	default:
	}
	select {
	case <-p.serving:
		return true
	default:
		return false
	}
}

// end ends the current process with a signal.
func (f *processes) end(p *place, s syscall.Signal, kind string) (*child, error) {
	p.mu.Lock()
	p.wanted = true
	proc := p.proc
	p.mu.Unlock()
	f.note(proc.pid(), kind)
	return proc, proc.signal(s)
}

// pause waits, and reports whether it waited to the end. It returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// namespaces returns the attributes of two processes that see the same process id, each in its own namespace. Their
// worker names then differ only in what the program adds.
func (c Config) namespaces(place int) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if c.SameName && place < 2 {
		attr.Cloneflags = syscall.CLONE_NEWPID
	}
	return attr
}
