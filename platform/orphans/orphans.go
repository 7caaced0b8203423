// Package orphans makes a program the parent of the processes that its descendants leave behind, and reaps those that end.
//
// A process that loses its parent is given to the nearest ancestor that is a child subreaper, else to process 1. Of that process
// the kernel makes the first thread the parent, the one whose id is the process id. Nothing else in the program starts a process
// from that thread: Run keeps it for itself. Its children are therefore what others left, and to wait for them there takes no exit
// code from who waits for a process that the program has started (prctl(2), PR_SET_CHILD_SUBREAPER; wait(2), __WNOTHREAD). One
// exception remains: if a thread ends, as that of a locked goroutine does, the kernel moves the processes that it had started.
//
// On systems other than Linux it does nothing.
package orphans

import "time"

// reapEvery is how often children that have ended are reaped while nobody asks for them.
const reapEvery = time.Second

// Reaper is the thread that orphans are children of. A nil Reaper has none, and never will.
type Reaper struct {
	requests chan func()
	ended    chan struct{} // closed when nobody serves requests any more
}

// Children reaps what has ended and returns the process ids of the children that were left to this process, in no order. The id
// of one that ends can belong to another process as soon as it is reaped, which may be at once. It is safe for concurrent use.
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

// run calls work in a goroutine of its own and serves it and the ticks until it returns.
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
