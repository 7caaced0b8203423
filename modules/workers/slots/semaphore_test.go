package slots

import (
	"sync"
	"testing"
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
