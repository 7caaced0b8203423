package slots

import (
	"slices"
	"sync"
)

// Semaphore is a number of slots that several pools share. An exchange acquires slots before it claims. It releases the
// unused ones when it ends, and those of its tasks when their outcomes are recorded.
//
// If no slot is free, a pool waits in a queue. Pools are served in order, each with an equal share of the free slots.
// While other pools wait, a pool may reuse only its share of the slots that its own outcomes free. Thus a pool with
// many tasks yields slots each time that it records a group of outcomes. A single pool may use all slots.
//
// A Semaphore is safe for concurrent use.
type Semaphore struct {
	mu      sync.Mutex
	slots   int
	free    int
	waiters []*member // in order of arrival
}

// member is one pool's access to a Semaphore.
type member struct {
	semaphore *Semaphore
	wake      func() // called when slots are granted; must not block
	want      int    // slots requested while the member waits
	granted   int    // slots granted but not yet acquired
}

// NewSemaphore returns a semaphore with the given number of slots, at least 1.
func NewSemaphore(slots int) *Semaphore {
	slots = max(slots, 1)
	return &Semaphore{slots: slots, free: slots}
}

// State returns the total number of slots and the number in use.
func (s *Semaphore) State() (slots, used int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots, s.slots - s.free
}

func (s *Semaphore) join(wake func()) *member {
	return &member{semaphore: s, wake: wake}
}

// tryEnqueue reports whether an exchange can acquire a slot now. If not, the member waits for want slots, and its wake
// function is called when slots are granted.
func (m *member) tryEnqueue(want int) bool {
	s := m.semaphore
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.granted > 0 || s.free > 0 && s.othersWaiting(m) == 0 {
		return true
	}
	m.want = want
	if !slices.Contains(s.waiters, m) {
		s.waiters = append(s.waiters, m)
	}
	return false
}

// acquire acquires slots for an exchange and removes the member from the queue. keep is how many of the slots of its
// outcomes the exchange may reuse. others is how many further slots it has acquired, at most want. The caller must
// release unused slots after the commit.
func (m *member) acquire(outcomes, want int) (keep, others int) {
	s := m.semaphore
	s.mu.Lock()
	defer s.mu.Unlock()
	have, waiting := m.granted, s.othersWaiting(m)
	m.granted = 0
	if waiting == 0 {
		have, s.free = have+s.free, 0
	}
	others = max(min(want, have), 0)
	s.free += have - others
	s.remove(m)
	s.serve()
	return outcomes / (waiting + 1), others
}

// available returns what acquire would return now, without a bound on others.
func (m *member) available(outcomes int) (keep, others int) {
	s := m.semaphore
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.othersWaiting(m)
	if others = m.granted; waiting == 0 {
		others += s.free
	}
	return outcomes / (waiting + 1), others
}

// release returns n slots to the semaphore.
func (m *member) release(n int) {
	if n == 0 {
		return
	}
	m.semaphore.mu.Lock()
	defer m.semaphore.mu.Unlock()
	m.semaphore.free += n
	m.semaphore.serve()
}

// leave removes the member from the queue and returns the slots granted to it.
func (m *member) leave() {
	s := m.semaphore
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(m)
	s.free, m.granted = s.free+m.granted, 0
	s.serve()
}

// remove removes a member from the queue. Callers hold mu.
func (s *Semaphore) remove(m *member) {
	s.waiters = slices.DeleteFunc(s.waiters, func(other *member) bool { return other == m })
}

// othersWaiting returns how many other members are in the queue. Callers hold mu.
func (s *Semaphore) othersWaiting(m *member) int {
	if slices.Contains(s.waiters, m) {
		return len(s.waiters) - 1
	}
	return len(s.waiters)
}

// serve grants the free slots to the waiting members in order. Each gets an equal share, at least one slot. Callers
// hold mu.
func (s *Semaphore) serve() {
	for s.free > 0 && len(s.waiters) > 0 {
		m := s.waiters[0]
		n := max(min(m.want, (s.free+len(s.waiters)-1)/len(s.waiters)), 1)
		s.waiters = s.waiters[1:]
		s.free -= n
		m.granted += n
		m.wake()
	}
}
