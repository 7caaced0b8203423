package workers

import (
	"slices"
	"sync"
)

// FairSemaphore is slots that several pools share. A pool takes slots for a turn that claims, and gives them back as
// its tasks' outcomes are recorded, and at once what it could not use. Who wants slots when there are none stands in a
// row: the first in it is served first, with an equal share of what is free. While others stand there a pool keeps no
// more than its share of the slots that its own outcomes free, so one with ten thousand tasks gives way with every
// group of them that ends. Alone it may have all.
type FairSemaphore struct {
	mu      sync.Mutex
	slots   int
	free    int
	waiters []*member // in the order in which they came
}

// member is a pool's part in a budget. A nil one is that of a pool whose slots are its own.
type member struct {
	budget  *FairSemaphore
	wake    func() // has the pool take what it was granted; must be quick
	want    int    // while it stands in the row
	granted int    // given to it, and not taken yet
}

// NewFairSemaphore makes a budget of slots, at least 1.
func NewFairSemaphore(slots int) *FairSemaphore {
	slots = max(slots, 1)
	return &FairSemaphore{slots: slots, free: slots}
}

// State gives the number of slots in all, and of those that are taken.
func (b *FairSemaphore) State() (slots, used int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.slots, b.slots - b.free
}

func (b *FairSemaphore) join(wake func()) *member {
	if b == nil {
		return nil
	}
	return &member{budget: b, wake: wake}
}

// tryEnqueue reports whether a turn would have a slot. If not, the pool stands in the row from now on, for want slots,
// and is woken.
func (s *member) tryEnqueue(want int) bool {
	if s == nil {
		return true
	}
	b := s.budget
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

// acquire takes slots for a turn: keep of those that its outcomes free, and at most want others. What it does not keep
// it must give once the turn is committed.
func (s *member) acquire(outcomes, want int) (keep, others int) {
	if s == nil {
		return outcomes, want
	}
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	have, beside := s.granted, b.othersWaiting(s)
	s.granted = 0
	if beside == 0 {
		have, b.free = have+b.free, 0
	}
	others = max(min(want, have), 0)
	b.free += have - others
	b.waiters = slices.DeleteFunc(b.waiters, func(o *member) bool { return o == s })
	b.serve()
	return outcomes / (beside + 1), others
}

// fairShare is how many of the slots that outcomes free a turn may keep.
func (s *member) fairShare(outcomes int) int {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	return outcomes / (s.budget.othersWaiting(s) + 1)
}

// available is how many slots reserve would give just now.
func (s *member) available() int {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	if s.budget.othersWaiting(s) > 0 {
		return s.granted
	}
	return s.granted + s.budget.free
}

// release gives n slots back.
func (s *member) release(n int) {
	if s == nil || n == 0 {
		return
	}
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.budget.free += n
	s.budget.serve()
}

// leave gives back what was granted, and the place in the row.
func (s *member) leave() {
	if s == nil {
		return
	}
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiters = slices.DeleteFunc(b.waiters, func(o *member) bool { return o == s })
	b.free, s.granted = b.free+s.granted, 0
	b.serve()
}

// othersWaiting is how many stand in the row beside a seat. Callers hold the lock.
func (b *FairSemaphore) othersWaiting(s *member) int {
	if slices.Contains(b.waiters, s) {
		return len(b.waiters) - 1
	}
	return len(b.waiters)
}

// serve gives free slots to those who stand in the row, each an equal share, but at least one. Callers hold the lock.
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
