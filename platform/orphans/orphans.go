// Package orphans makes a program the parent of the processes that its descendants leave behind, and reaps those that
// end.
//
// A process that loses its parent becomes a child of the nearest ancestor that is a child subreaper, or else of
// process 1. In that ancestor, the kernel makes the first thread the parent, whose id is the process id. Run reserves
// that thread, so nothing else in the program starts a process from it, and its children are only orphans. Waiting
// for them on that thread therefore takes no exit code away from the code that started a process (prctl(2),
// PR_SET_CHILD_SUBREAPER; wait(2), __WNOTHREAD). There is one exception: when a thread ends, as the thread of a
// locked goroutine does, the kernel moves the processes that it had started.
//
// On systems other than Linux the package does nothing.
package orphans

import "time"

// reapEvery is how often ended children are reaped while Children is not called.
const reapEvery = time.Second

// Reaper is the thread whose children the orphans become. A nil Reaper has no children.
type Reaper struct {
	requests chan func()
	ended    chan struct{} // closed when requests are no longer served
}

// Children reaps ended children and returns the process ids of the remaining orphans, in no order. After a child is
// reaped, which may happen immediately, its id can belong to another process. Children is safe for concurrent use.
func (r *Reaper) Children() []int {
	if r == nil {
		return nil
	}
	result := make(chan []int, 1)
	select {
	case r.requests <- func() { result <- children() }:
		return <-result
	case <-r.ended:
		return nil
	}
}

// run calls work in a goroutine, and serves requests and ticks until work returns.
func run(work func(*Reaper) int) int {
	r := &Reaper{requests: make(chan func()), ended: make(chan struct{})}
	defer close(r.ended)
	code := make(chan int, 1)
	go func() { code <- work(r) }()
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	for {
		select {
		case c := <-code:
			return c
		case serve := <-r.requests:
			serve()
		case <-tick.C:
			reap()
		}
	}
}
