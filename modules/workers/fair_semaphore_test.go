package workers

import (
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func nothing() {}

// TestBudgetGivesWay: alone a pool may have all; beside others it has its share, in the order in which they came.
func TestBudgetGivesWay(t *testing.T) {
	b := NewFairSemaphore(8)
	flood, small, third := b.join(nothing), b.join(nothing), b.join(nothing)
	if keep, n := flood.acquire(0, 100); keep != 0 || n != 8 {
		t.Fatalf("alone: %d of 8", n)
	}
	if keep, n := flood.acquire(6, 100); keep != 6 || n != 0 {
		t.Errorf("alone it keeps %d of its 6 slots and gets %d", keep, n)
	}
	if small.tryEnqueue(3) || third.tryEnqueue(100) {
		t.Error("there is no slot, and yet they may")
	}
	keep, _ := flood.acquire(7, 100)
	if keep != 2 {
		t.Errorf("beside two others it keeps %d of 7", keep)
	}
	flood.release(7 - keep)
	if small.granted != 3 || third.granted != 2 {
		t.Errorf("5 slots among two: %d, %d", small.granted, third.granted)
	}
	if !small.tryEnqueue(3) || flood.tryEnqueue(100) {
		t.Error("who was granted slots may, and who was not may not")
	}
	if _, n := small.acquire(0, 1); n != 1 || flood.granted != 2 {
		t.Errorf("it takes %d of its 3, and %d go to the next", n, flood.granted)
	}
	third.leave()
	if _, used := b.State(); used != 3+2+1 {
		t.Errorf("%d slots are taken", used)
	}
}

// TestBudgetWithout: a pool without a budget has its own slots.
func TestBudgetWithout(t *testing.T) {
	var none *FairSemaphore
	s := none.join(nothing)
	keep, n := s.acquire(3, 5)
	s.release(2)
	s.leave()
	if !s.tryEnqueue(1) || keep != 3 || n != 5 {
		t.Errorf("keeps %d of 3, gets %d of 5", keep, n)
	}
}

// TestBudgetAtOnce: whatever pools do at once, no slot is lost.
func TestBudgetAtOnce(t *testing.T) {
	const slots = 3
	b := NewFairSemaphore(slots)
	var wg sync.WaitGroup
	for range 20 {
		kick := make(chan struct{}, 1)
		s := b.join(func() {
			select {
			case kick <- struct{}{}:
			default:
			}
		})
		wg.Go(func() {
			for range 200 {
				for !s.tryEnqueue(2) {
					<-kick
				}
				_, n := s.acquire(0, 2)
				s.release(n)
			}
			s.leave()
		})
	}
	wg.Wait()
	if all, used := b.State(); all != slots || used != 0 || len(b.waiters) != 0 {
		t.Errorf("%d of %d slots are taken by nobody, %d stand in the row", used, all, len(b.waiters))
	}
}

// TestBudgetModel: never more than there is, nobody stands in the row beside a free slot, and who came first is served
// first.
func TestBudgetModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		slots := rapid.IntRange(1, 10).Draw(r, "slots")
		b := NewFairSemaphore(slots)
		seats, held := make([]*semaphoreMember, 4), make([]int, 4)
		for i := range seats {
			seats[i] = b.join(nothing)
		}
		pick := rapid.IntRange(0, len(seats)-1)
		r.Repeat(map[string]func(*rapid.T){
			"turn": func(r *rapid.T) {
				i, want := pick.Draw(r, "pool"), rapid.IntRange(1, 12).Draw(r, "want")
				ended := rapid.IntRange(0, held[i]).Draw(r, "ended")
				if ended == 0 && !seats[i].tryEnqueue(want) {
					return
				}
				keep, others := seats[i].acquire(ended, want)
				if keep > ended || others > want {
					r.Fatalf("it keeps %d of %d and gets %d of %d", keep, ended, others, want)
				}
				claimed := rapid.IntRange(0, keep+others).Draw(r, "claimed")
				seats[i].release(ended + others - claimed)
				held[i] += claimed - ended
			},
			"leave": func(r *rapid.T) { seats[pick.Draw(r, "pool")].leave() },
			"": func(r *rapid.T) {
				taken := 0
				for i, s := range seats {
					taken += held[i] + s.granted
				}
				if _, used := b.State(); used != taken || taken > slots {
					r.Fatalf("%d slots held, %d taken, of %d", taken, used, slots)
				}
				if b.free > 0 && len(b.waiters) > 0 {
					r.Fatalf("%d stand in the row although %d slots are free", len(b.waiters), b.free)
				}
			},
		})
	})
}
