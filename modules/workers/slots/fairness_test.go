package slots_test

import (
	"fmt"
	"testing"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers/slots"
)

// TestTenantsShareSlots: a tenant with many tasks yields slots to another, and takes them back when it is alone.
func TestTenantsShareSlots(t *testing.T) {
	total := slots.NewSemaphore(8)
	limits := slots.NewLimits(nil)
	busy, small := newPool(8, total, limits), newPool(8, total, limits)
	busy.add("go 100")
	busy.settle("")
	small.add("go 10")
	if small.settle(""); small.state() != "" || busy.state() != "go 8" {
		t.Fatalf("at first, %s and %s run", busy.state(), small.state())
	}
	busy.settle("go 6") // keeps its share of the 6, and the others are granted
	if small.woken != 1 || busy.running["go"] != 5 {
		t.Errorf("the waiting tenant is woken %d times; %s run of the other", small.woken, busy.state())
	}
	if small.settle(""); small.state() != "go 3" {
		t.Errorf("%s run of the waiting tenant", small.state())
	}
	busy.settle("go 5")
	small.settle("")
	if busy.running["go"]+small.running["go"] != 8 || small.running["go"] < 4 {
		t.Errorf("then %s and %s run", busy.state(), small.state())
	}
	for small.running["go"] > 0 {
		small.settle("go 1")
	}
	if busy.settle(""); busy.state() != "go 8" {
		t.Errorf("alone again, %s run", busy.state())
	}
}

// TestTenantsShareCapacity: the same for the capacity of a handler, while other handlers have enough slots.
func TestTenantsShareCapacity(t *testing.T) {
	total, limits := slots.NewSemaphore(100), slots.NewLimits(map[string]int{"shell": 4})
	busy, small := newPool(100, total, limits), newPool(100, total, limits)
	busy.add("shell 50")
	busy.settle("")
	small.add("shell 2, go 5")
	if small.settle(""); busy.state() != "shell 4" || small.state() != "go 5" {
		t.Fatalf("at first, %s and %s run", busy.state(), small.state())
	}
	busy.settle("shell 2")
	if small.settle(""); busy.state() != "shell 3" || small.state() != "go 5, shell 1" {
		t.Errorf("after 2 ended, %s and %s run", busy.state(), small.state())
	}
	if got := fmt.Sprint(limits.State()); got != "[{shell 4 4}]" {
		t.Errorf("capacity: %s", got)
	}
}

// TestOverlappingExchanges: the second exchange finds capacity that the first one left, and does not take the handler
// for a saturated one.
func TestOverlappingExchanges(t *testing.T) {
	p := newPool(20, nil, slots.NewLimits(map[string]int{"shell": 8}))
	p.add("shell 2")
	first, _ := p.begin("")
	if first.Capacity["shell"] != 4 || first.Limit != 20 {
		t.Errorf("the first exchange may claim %d of %d", first.Capacity["shell"], first.Limit)
	}
	if _, ok := p.begin(""); ok {
		t.Error("a second exchange begins without outcomes, though the first one polls already")
	}
	p.running["go"] = 1
	second, _ := p.begin("go 1")
	if second.Poll != nil || second.Capacity["shell"] != 1 || second.Limit != 1 {
		t.Errorf("the second exchange polls %v, with capacity %d of %d", second.Poll, second.Capacity["shell"],
			second.Limit)
	}
	p.commit(second)
	if p.commit(first); p.state() != "shell 2" {
		t.Errorf("%s run", p.state())
	}
	if polls := p.settle(""); len(polls) != 0 {
		t.Errorf("further polls: %v", polls)
	}
}

// TestNoFreeCapacity: the tasks of a handler that another pool uses up entirely are not polled, and the pool is woken
// when there is capacity.
func TestNoFreeCapacity(t *testing.T) {
	limits := slots.NewLimits(map[string]int{"shell": 1})
	other, p := newPool(4, nil, limits), newPool(4, nil, limits)
	other.add("shell 1")
	other.settle("")
	p.add("shell 1, go 1")
	if polls := fmt.Sprint(p.settle("")); polls != "[go,http]" || p.state() != "go 1" {
		t.Errorf("polls %s, %s run", polls, p.state())
	}
	if other.settle("shell 1"); p.woken != 1 {
		t.Errorf("the pool is woken %d times", p.woken)
	}
	if p.settle(""); p.state() != "go 1, shell 1" {
		t.Errorf("with capacity, %s run", p.state())
	}
}

// TestFailedExchange: what an exchange reserved can be claimed after it failed.
func TestFailedExchange(t *testing.T) {
	total, limits := slots.NewSemaphore(4), slots.NewLimits(map[string]int{"shell": 2})
	p := newPool(4, total, limits)
	p.add("shell 3, go 9")
	x, _ := p.begin("")
	p.Cancel(x.Reservation)
	p.due = append(x.rows, p.due...)
	if _, used := total.State(); used != 0 || p.Used() != 0 || limits.State()[0].Used != 0 {
		t.Errorf("%d slots and %+v are used", used, limits.State())
	}
	p.PollAll()
	if p.settle(""); p.state() != "go 3, shell 1" {
		t.Errorf("then %s run", p.state())
	}
}

// TestOutcomesWithoutReservation: outcomes that were recorded later free their slots and capacity.
func TestOutcomesWithoutReservation(t *testing.T) {
	total, limits := slots.NewSemaphore(4), slots.NewLimits(map[string]int{"shell": 2})
	p := newPool(4, total, limits)
	p.add("shell 2, go 2")
	p.settle("")
	p.Release(map[string]int{"shell": 2, "go": 1})
	if _, used := total.State(); used != 1 || p.Used() != 1 || limits.State()[0].Used != 0 {
		t.Errorf("%d slots and %+v are used", used, limits.State())
	}
}

// TestLoweredTotal: while more tasks run than the pool may run, the slots of ended tasks are not reused.
func TestLoweredTotal(t *testing.T) {
	p := newPool(8, nil, slots.NewLimits(nil))
	p.add("go 20")
	p.settle("")
	p.total = 4
	for _, want := range []string{"go 6", "go 4", "go 4"} {
		if p.settle("go 2"); p.state() != want {
			t.Errorf("%s run, want %s", p.state(), want)
		}
	}
}

// TestEagerClaims: tasks that become ready in an exchange are claimed before the outbox is polled, unless more urgent
// ones wait there. Every eighth exchange of a group leaves all slots to the outbox.
func TestEagerClaims(t *testing.T) {
	const bulk, urgent = tasks.LowestPriority, 0
	p := newPool(1, nil, slots.NewLimits(map[string]int{"shell": 1}))
	one := map[string]int{"go": 1}
	poll := func(last int) slots.Reservation {
		p.PollAll()
		r := p.Reserve(1, map[string]int{})
		p.Finish(r, 1, nil, one, slots.PollResult{MoreDue: true, LastPriority: map[string]int{"go": last}})
		return p.Reserve(1, one)
	}
	for _, last := range []int{bulk, urgent, bulk} {
		r := poll(last)
		if r.EagerMax != 1 || r.EagerMinPriority != last {
			t.Errorf("after tasks of priority %d, eager claims: at most %d of priority %d", last, r.EagerMax,
				r.EagerMinPriority)
		}
		p.Finish(r, 1, one, nil, slots.PollResult{})
	}
	outboxFirst := 0
	for range 16 {
		p.PollAll()
		r := p.Reserve(1, map[string]int{})
		if r.EagerMax == 0 {
			outboxFirst++
		}
		p.Finish(r, 1, nil, nil, slots.PollResult{})
	}
	if outboxFirst != 2 {
		t.Errorf("of 16 exchanges, %d left all slots to the outbox", outboxFirst)
	}
}

// TestEagerClaimsOfSaturatedHandler: only the backlog of the handler itself delays its eager claims.
func TestEagerClaimsOfSaturatedHandler(t *testing.T) {
	p := newPool(9, nil, slots.NewLimits(map[string]int{"shell": 1}))
	p.PollAll()
	r := p.Reserve(9, nil)
	p.Finish(r, 9, nil, map[string]int{"shell": 1, "go": 2}, slots.PollResult{
		MoreDue: true, Saturated: []string{"shell"}, LastPriority: map[string]int{"shell": 1, "go": 2},
	})
	r = p.Reserve(9, map[string]int{"shell": 1})
	if r.EagerMinPriority != 2 || r.EagerMinPriorities["shell"] != 1 || r.Capacity["shell"] != 1 {
		t.Errorf("priority %d, overridden by %v, capacity %v", r.EagerMinPriority, r.EagerMinPriorities, r.Capacity)
	}
	if _, limited := r.EagerMinPriorities["go"]; limited {
		t.Error("the priority of a handler that is not saturated is overridden")
	}
}

// TestNoSlotLeftForPoll: if eager claims use all slots, the outbox is polled next.
func TestNoSlotLeftForPoll(t *testing.T) {
	p := newPool(1, nil, slots.NewLimits(nil))
	one := map[string]int{"go": 1}
	p.PollAll()
	p.Finish(p.Reserve(1, nil), 1, nil, one, slots.PollResult{MoreDue: true, LastPriority: one})
	if p.CanClaim(1) {
		t.Error("an exchange begins without a slot")
	}
	for range 2 {
		r := p.Reserve(1, one)
		if r.Poll == nil {
			t.Error("no poll")
		}
		if claimable, drained := p.Finish(r, 1, one, one, slots.PollResult{MoreDue: true}); claimable || drained {
			t.Errorf("another exchange can claim: %t; no more is due: %t", claimable, drained)
		}
	}
}

// TestSaturationEndsMeanwhile: two exchanges poll for the same saturated handler. The first to end finds no more of its
// tasks, and the other one does: the handler is polled again, with the others.
func TestSaturationEndsMeanwhile(t *testing.T) {
	p := newPool(8, nil, slots.NewLimits(map[string]int{"shell": 2}))
	p.add("shell 9, go 1")
	p.settle("")
	one, other := map[string]int{"shell": 1}, map[string]int{"go": 1}
	first := p.Reserve(8, one)
	p.PollAll()
	p.Finish(p.Reserve(8, other), 8, other, nil, slots.PollResult{}) // polls for the others
	second := p.Reserve(8, one)
	if fmt.Sprint(first.Poll, second.Poll) != "[shell] [shell]" {
		t.Fatalf("polls %v and %v", first.Poll, second.Poll)
	}
	if _, drained := p.Finish(second, 8, one, nil, slots.PollResult{}); !drained {
		t.Error("after an empty poll, more is due")
	}
	if claimable, _ := p.Finish(first, 8, one, one, slots.PollResult{MoreDue: true, LastPriority: one}); !claimable {
		t.Error("after a full poll, nothing can be claimed")
	}
	if r := p.Reserve(8, nil); fmt.Sprint(r.Poll) != "[go http shell]" {
		t.Errorf("then it polls %v", r.Poll)
	}
}

// TestEndOfSaturationStopsWaiting: a pool does not keep capacity that it no longer waits for.
func TestEndOfSaturationStopsWaiting(t *testing.T) {
	limits := slots.NewLimits(map[string]int{"shell": 2})
	p, other := newPool(8, nil, limits), newPool(8, nil, limits)
	p.add("shell 3, go 1")
	p.settle("")
	x := p.Reserve(8, map[string]int{"shell": 1})
	p.PollAll()
	p.commit(exchange{Reservation: p.Reserve(8, map[string]int{"go": 1}), result: slots.PollResult{}})
	p.Finish(x, 8, map[string]int{"shell": 1}, nil, slots.PollResult{})
	other.add("shell 1")
	if other.settle(""); other.state() != "shell 1" {
		t.Errorf("%s of another pool run beside free capacity", other.state())
	}
}
