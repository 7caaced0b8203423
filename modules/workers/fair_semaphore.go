package workers

import (
	"slices"
	"sync"
)

// FairSemaphore is a number of slots that several pools share. An exchange acquires slots before it claims. It releases
// the unused ones when it ends, and those of its tasks when their outcomes are recorded.
//
// If no slot is free, a pool enters a queue. Pools are served in order, each with an equal share of the free slots.
// While other pools wait, a pool may reuse only its share of the slots that its own outcomes free. Thus a pool with
// many tasks yields slots each time that it records a group of outcomes. A single pool may use all slots.
type FairSemaphore struct {
	mu      sync.Mutex
	slots   int
	free    int
	waiters []*semaphoreMember // in order of arrival
}

// semaphoreMember is one pool's access to a FairSemaphore. A nil member belongs to a pool with slots of its own.
type semaphoreMember struct {
	semaphore *FairSemaphore
	wake      func() // called when slots are granted; must not block
	want      int    // slots requested while the member waits
	granted   int    // slots granted but not yet acquired
}

// NewFairSemaphore returns a semaphore with the given number of slots, at least 1.
func NewFairSemaphore(slots int) *FairSemaphore {
	slots = max(slots, 1)
	return &FairSemaphore{slots: slots, free: slots}
}

// State returns the total number of slots and the number in use.
func (b *FairSemaphore) State() (slots, used int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.slots, b.slots - b.free
}

func (b *FairSemaphore) join(wake func()) *semaphoreMember {
	if b == nil {
		return nil
	}
	return &semaphoreMember{semaphore: b, wake: wake}
}

// tryEnqueue reports whether an exchange can acquire a slot now. If not, the member enters the queue for want slots,
// and its wake function is called when slots are granted.
func (s *semaphoreMember) tryEnqueue(want int) bool {
	if s == nil {
		return true
	}
	b := s.semaphore
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.granted > 0 || b.free > 0 && b.othersWaiting(s) == 0 {
		return true
	}
	s.want = want
	if !slices.Contains(b.waiters, s) {
		b.waiters = append(b.waiters, s)
	}
	return false
}

// acquire acquires slots for an exchange and removes the member from the queue. keep is how many of the slots of its
// outcomes the exchange may reuse. others is how many further slots it has acquired, at most want. The caller must
// release unused slots after the commit. A nil member acquires everything.
func (s *semaphoreMember) acquire(outcomes, want int) (keep, others int) {
	if s == nil {
		return outcomes, want
	}
	b := s.semaphore
	b.mu.Lock()
	defer b.mu.Unlock()
	have, beside := s.granted, b.othersWaiting(s)
	s.granted = 0
	if beside == 0 {
		have, b.free = have+b.free, 0
	}
	others = max(min(want, have), 0)
	b.free += have - others
	b.waiters = slices.DeleteFunc(b.waiters, func(o *semaphoreMember) bool { return o == s })
	b.serve()
	return outcomes / (beside + 1), others
}

// fairShare returns how many of the slots that outcomes free an exchange may reuse.
func (s *semaphoreMember) fairShare(outcomes int) int {
	s.semaphore.mu.Lock()
	defer s.semaphore.mu.Unlock()
	return outcomes / (s.semaphore.othersWaiting(s) + 1)
}

// available returns how many further slots acquire could acquire now.
func (s *semaphoreMember) available() int {
	s.semaphore.mu.Lock()
	defer s.semaphore.mu.Unlock()
	if s.semaphore.othersWaiting(s) > 0 {
		return s.granted
	}
	return s.granted + s.semaphore.free
}

// release returns n slots to the semaphore.
func (s *semaphoreMember) release(n int) {
	if s == nil || n == 0 {
		return
	}
	s.semaphore.mu.Lock()
	defer s.semaphore.mu.Unlock()
	s.semaphore.free += n
	s.semaphore.serve()
}

// leave removes the member from the queue and returns the slots granted to it.
func (s *semaphoreMember) leave() {
	if s == nil {
		return
	}
	b := s.semaphore
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiters = slices.DeleteFunc(b.waiters, func(o *semaphoreMember) bool { return o == s })
	b.free, s.granted = b.free+s.granted, 0
	b.serve()
}

// othersWaiting returns how many other members are in the queue. Callers hold mu.
func (b *FairSemaphore) othersWaiting(s *semaphoreMember) int {
	if slices.Contains(b.waiters, s) {
		return len(b.waiters) - 1
	}
	return len(b.waiters)
}

// serve grants the free slots to the waiting members in order. Each gets an equal share, at least one slot. Callers
// hold mu.
func (b *FairSemaphore) serve() {
	for b.free > 0 && len(b.waiters) > 0 {
		s := b.waiters[0]
		n := max(min(s.want, (b.free+len(b.waiters)-1)/len(b.waiters)), 1)
		b.waiters = b.waiters[1:]
		b.free -= n
		s.granted += n
		s.wake()
	}
}
