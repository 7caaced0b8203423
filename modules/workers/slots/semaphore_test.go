package slots

import (
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func ignore() {}

// TestSemaphoreSharesFairly: a single pool may use all slots. Beside others it has its share, in the order of arrival.
func TestSemaphoreSharesFairly(t *testing.T) {
	s := NewSemaphore(8)
	busy, small, third := s.join(ignore), s.join(ignore), s.join(ignore)
	if keep, n := busy.acquire(0, 100); keep != 0 || n != 8 {
		t.Fatalf("a single pool acquired %d of 8 slots", n)
	}
	if keep, n := busy.acquire(6, 100); keep != 6 || n != 0 {
		t.Errorf("a single pool keeps %d of its 6 slots and acquires %d", keep, n)
	}
	if small.tryEnqueue(3) || third.tryEnqueue(100) {
		t.Error("no slot is free, but an exchange may begin")
	}
	keep, _ := busy.acquire(7, 100)
	if keep != 2 {
		t.Errorf("beside two waiting pools, the pool keeps %d of 7", keep)
	}
	busy.release(7 - keep)
	if small.granted != 3 || third.granted != 2 {
		t.Errorf("5 slots are divided into %d and %d", small.granted, third.granted)
	}
	if !small.tryEnqueue(3) || busy.tryEnqueue(100) {
		t.Error("an exchange may begin exactly if slots were granted")
	}
	if _, n := small.acquire(0, 1); n != 1 || busy.granted != 2 {
		t.Errorf("the pool acquires %d of its 3 slots, and %d go to the next", n, busy.granted)
	}
	third.leave()
	if _, used := s.State(); used != 3+2+1 {
		t.Errorf("%d slots are used", used)
	}
}

// TestNoSemaphore: a pool without a semaphore has slots of its own.
func TestNoSemaphore(t *testing.T) {
	var none *Semaphore
	m := none.join(ignore)
	keep, n := m.acquire(3, 5)
	m.release(2)
	m.leave()
	if !m.tryEnqueue(1) || keep != 3 || n != 5 {
		t.Errorf("keeps %d of 3, acquires %d of 5", keep, n)
	}
}

// TestSemaphoreConcurrently: whatever pools do at once, no slot is lost.
func TestSemaphoreConcurrently(t *testing.T) {
	const slots = 3
	s := NewSemaphore(slots)
	var wg sync.WaitGroup
	for range 20 {
		woken := make(chan struct{}, 1)
		m := s.join(func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
		wg.Go(func() {
			for range 200 {
				for !m.tryEnqueue(2) {
					<-woken
				}
				_, n := m.acquire(0, 2)
				m.release(n)
			}
			m.leave()
		})
	}
	wg.Wait()
	if total, used := s.State(); total != slots || used != 0 || len(s.waiters) != 0 {
		t.Errorf("%d of %d slots are used by no pool, %d pools wait", used, total, len(s.waiters))
	}
}

// TestSemaphoreModel: no more slots are used than exist, and no pool waits beside a free slot.
func TestSemaphoreModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		slots := rapid.IntRange(1, 10).Draw(r, "slots")
		s := NewSemaphore(slots)
		members, held := make([]*member, 4), make([]int, 4)
		for i := range members {
			members[i] = s.join(ignore)
		}
		pick := rapid.IntRange(0, len(members)-1)
		r.Repeat(map[string]func(*rapid.T){
			"exchange": func(r *rapid.T) {
				i, want := pick.Draw(r, "pool"), rapid.IntRange(1, 12).Draw(r, "want")
				ended := rapid.IntRange(0, held[i]).Draw(r, "ended")
				if ended == 0 && !members[i].tryEnqueue(want) {
					return
				}
				keep, others := members[i].acquire(ended, want)
				if keep > ended || others > want {
					r.Fatalf("keeps %d of %d and acquires %d of %d", keep, ended, others, want)
				}
				claimed := rapid.IntRange(0, keep+others).Draw(r, "claimed")
				members[i].release(ended + others - claimed)
				held[i] += claimed - ended
			},
			"leave": func(r *rapid.T) { members[pick.Draw(r, "pool")].leave() },
			"": func(r *rapid.T) {
				taken := 0
				for i, m := range members {
					taken += held[i] + m.granted
				}
				if _, used := s.State(); used != taken || taken > slots {
					r.Fatalf("%d slots are held, %d used, of %d", taken, used, slots)
				}
				if s.free > 0 && len(s.waiters) > 0 {
					r.Fatalf("%d pools wait although %d slots are free", len(s.waiters), s.free)
				}
			},
		})
	})
}
