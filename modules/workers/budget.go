package workers

import (
	"slices"
	"sync"
)

// Budget is slots that several pools share. A pool takes slots for a turn that claims, and gives them back as its tasks' outcomes are
// recorded, and at once what it could not use. Who wants slots when there are none stands in a row: the first in it is served first,
// with an equal share of what is free. While others stand there a pool keeps no more than its share of the slots that its own
// outcomes free, so one with ten thousand tasks gives way with every group of them that ends. Alone it may have all.
type Budget struct {
	mu    sync.Mutex
	slots int
	free  int
	row   []*seat // in the order in which they came
}

// seat is a pool's part in a budget. A nil one is that of a pool whose slots are its own.
type seat struct {
	budget  *Budget
	wake    func() // has the pool take what it was granted; must be quick
	want    int    // while it stands in the row
	granted int    // given to it, and not taken yet
}

// NewBudget makes a budget of slots, at least 1.
func NewBudget(slots int) *Budget {
	slots = max(slots, 1)
	return &Budget{slots: slots, free: slots}
}

// State gives the number of slots in all, and of those that are taken.
func (b *Budget) State() (slots, used int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.slots, b.slots - b.free
}

func (b *Budget) seat(wake func()) *seat {
	if b == nil {
		return nil
	}
	return &seat{budget: b, wake: wake}
}

// may reports whether a turn would have a slot. If not, the pool stands in the row from now on, for want slots, and is woken.
func (s *seat) may(want int) bool {
	if s == nil {
		return true
	}
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.granted > 0 || b.free > 0 && b.others(s) == 0 {
		return true
	}
	s.want = want
	if !slices.Contains(b.row, s) {
		b.row = append(b.row, s)
	}
	return false
}

// reserve takes slots for a turn: keep of those that its outcomes free, and at most want others. What it does not keep it must give
// once the turn is committed.
func (s *seat) reserve(outcomes, want int) (keep, others int) {
	if s == nil {
		return outcomes, want
	}
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	have, beside := s.granted, b.others(s)
	s.granted = 0
	if beside == 0 {
		have, b.free = have+b.free, 0
	}
	others = max(min(want, have), 0)
	b.free += have - others
	b.row = slices.DeleteFunc(b.row, func(o *seat) bool { return o == s })
	b.serve()
	return outcomes / (beside + 1), others
}

// share is how many of the slots that outcomes free a turn may keep.
func (s *seat) share(outcomes int) int {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	return outcomes / (s.budget.others(s) + 1)
}

// room is how many slots reserve would give just now.
func (s *seat) room() int {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	if s.budget.others(s) > 0 {
		return s.granted
	}
	return s.granted + s.budget.free
}

// give gives n slots back.
func (s *seat) give(n int) {
	if s == nil || n == 0 {
		return
	}
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.budget.free += n
	s.budget.serve()
}

// leave gives back what was granted, and the place in the row.
func (s *seat) leave() {
	if s == nil {
		return
	}
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.row = slices.DeleteFunc(b.row, func(o *seat) bool { return o == s })
	b.free, s.granted = b.free+s.granted, 0
	b.serve()
}

// others is how many stand in the row beside a seat. Callers hold the lock.
func (b *Budget) others(s *seat) int {
	if slices.Contains(b.row, s) {
		return len(b.row) - 1
	}
	return len(b.row)
}

// serve gives free slots to those who stand in the row, each an equal share, but at least one. Callers hold the lock.
func (b *Budget) serve() {
	for b.free > 0 && len(b.row) > 0 {
		s := b.row[0]
		n := max(min(s.want, (b.free+len(b.row)-1)/len(b.row)), 1)
		b.row = b.row[1:]
		b.free -= n
		s.granted += n
		s.wake()
	}
}
