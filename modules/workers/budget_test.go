package workers

import (
	"context"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// wait has a pool wait in the row, and returns when it stands there.
func (b *Budget) wait(t *testing.T, ctx context.Context, want int) <-chan int {
	t.Helper()
	b.mu.Lock()
	before := len(b.waiting)
	b.mu.Unlock()
	got := make(chan int, 1)
	go func() { got <- b.take(ctx, want) }()
	for {
		b.mu.Lock()
		now := len(b.waiting)
		b.mu.Unlock()
		if now > before {
			return got
		}
	}
}

// TestBudgetGivesWay: alone a pool may have all; beside others it has its share, in the order in which they came.
func TestBudgetGivesWay(t *testing.T) {
	ctx := t.Context()
	b := NewBudget(8)
	if n := b.take(ctx, 100); n != 8 {
		t.Fatalf("alone: %d of 8", n)
	}
	flood, small, third := b.wait(t, ctx, 100), b.wait(t, ctx, 3), b.wait(t, ctx, 100)
	b.give(7)
	if x, y, z := <-flood, <-small, <-third; x != 3 || y != 2 || z != 2 {
		t.Errorf("7 slots among three: %d, %d, %d", x, y, z)
	}
	first, second := b.wait(t, ctx, 100), b.wait(t, ctx, 100)
	b.give(1)
	if n := <-first; n != 1 || len(second) != 0 {
		t.Errorf("one slot: the first has %d, the second something: %v", n, len(second) != 0)
	}
	b.give(1)
	if n := <-second; n != 1 {
		t.Errorf("the second has %d", n)
	}
}

// TestBudgetLeavers: who gives up waiting leaves nothing taken, even if it is served in the same moment.
func TestBudgetLeavers(t *testing.T) {
	const slots = 3
	b := NewBudget(slots)
	var wg sync.WaitGroup
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() { b.give(b.take(ctx, 2)) })
		wg.Go(cancel)
	}
	wg.Wait()
	if all, used := b.State(); all != slots || used != 0 {
		t.Errorf("%d of %d slots are taken by nobody", used, all)
	}
}

// TestBudgetModel: never more than there is, nobody waits beside a free slot, and nobody is passed by.
func TestBudgetModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		slots := rapid.IntRange(1, 10).Draw(r, "slots")
		b := NewBudget(slots)
		held := 0
		var row []*waiter
		r.Repeat(map[string]func(*rapid.T){
			"wait": func(r *rapid.T) {
				w := &waiter{want: rapid.IntRange(1, 12).Draw(r, "want"), granted: make(chan int, 1)}
				b.waiting = append(b.waiting, w)
				row = append(row, w)
				b.serve()
			},
			"give": func(r *rapid.T) {
				if held > 0 {
					n := rapid.IntRange(1, held).Draw(r, "n")
					held -= n
					b.give(n)
				}
			},
			"": func(r *rapid.T) {
				for len(row) > 0 && len(row[0].granted) > 0 {
					n := <-row[0].granted
					if n < 1 || n > row[0].want {
						r.Fatalf("%d slots for one who wants %d", n, row[0].want)
					}
					held, row = held+n, row[1:]
				}
				for _, w := range row {
					if len(w.granted) > 0 {
						r.Fatal("served before one who came earlier")
					}
				}
				if _, used := b.State(); used != held || held > slots {
					r.Fatalf("%d slots held, %d taken, of %d", held, used, slots)
				}
				if held < slots && len(row) > 0 {
					r.Fatalf("%d wait although %d slots are free", len(row), slots-held)
				}
			},
		})
	})
}
