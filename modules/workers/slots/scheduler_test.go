package slots_test

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers/slots"
)

// pool is a scheduler with an outbox, which is a list of the handlers of due tasks, oldest first.
type pool struct {
	*slots.Scheduler
	total   int
	due     []string
	running map[string]int // by handler
	woken   int
	awake   bool // an exchange may be able to claim
}

var handlers = []string{"go", "http", "shell"}

func newPool(total int, shared *slots.Semaphore, limits *slots.Limits) *pool {
	if shared == nil {
		shared = slots.NewSemaphore(total)
	}
	p := &pool{total: total, running: map[string]int{}}
	p.Scheduler = slots.NewScheduler(handlers, shared, limits, func() { p.woken, p.awake = p.woken+1, true })
	return p
}

// byHandler reads a list such as "shell 20, go 3", in its order.
func byHandler(list string) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for part := range strings.SplitSeq(list, ", ") {
			var handler string
			var n int
			if _, err := fmt.Sscan(part, &handler, &n); err == nil && !yield(handler, n) {
				return
			}
		}
	}
}

// add makes tasks due.
func (p *pool) add(list string) {
	for handler, n := range byHandler(list) {
		p.due = append(p.due, slices.Repeat([]string{handler}, n)...)
	}
	p.PollAll()
	p.awake = true
}

// exchange is one exchange in progress.
type exchange struct {
	slots.Reservation
	ended, claimed map[string]int
	rows, added    []string // taken from the outbox, and added to it
	result         slots.PollResult
}

// begin begins an exchange with the given outcomes, if it has reason to, and claims tasks for it. The tasks of ready
// have become ready in the exchange.
func (p *pool) begin(outcomes string, ready ...string) (x exchange, ok bool) {
	x.ended = maps.Collect(byHandler(outcomes))
	if len(x.ended) == 0 && !p.CanClaim(p.total) {
		p.awake = false
		return x, false
	}
	x.Reservation = p.Reserve(p.total, x.ended)
	x.claimed, x.result = map[string]int{}, slots.PollResult{LastPriority: map[string]int{}}
	for _, h := range ready {
		if x.EagerMax > 0 && x.left(h) > 0 {
			x.claimed[h]++
			x.EagerMax--
		} else {
			x.added = append(x.added, h)
		}
	}
	p.poll(&x)
	return x, len(x.ended) > 0 || x.Limit > 0
}

// left returns how many more tasks of a handler the exchange may claim.
func (x *exchange) left(handler string) int {
	n := x.Limit
	for _, claimed := range x.claimed {
		n -= claimed
	}
	if capacity, limited := x.Capacity[handler]; limited {
		n = min(n, capacity-x.claimed[handler])
	}
	return n
}

// poll takes the oldest tasks, as many as the limit, and of these as many as there is capacity for.
func (p *pool) poll(x *exchange) {
	limit, capacity, seen := 0, map[string]int{}, 0
	for _, h := range x.Poll {
		capacity[h] = x.left(h)
		limit = min(limit+capacity[h], x.left(""))
	}
	before := maps.Clone(capacity)
	p.due = slices.DeleteFunc(p.due, func(h string) bool {
		if seen == limit || !slices.Contains(x.Poll, h) {
			return false
		}
		if seen++; capacity[h] == 0 {
			return false
		}
		capacity[h]--
		x.claimed[h]++
		x.rows = append(x.rows, h)
		x.result.LastPriority[h] = tasks.LowestPriority
		return true
	})
	x.result.MoreDue = len(x.rows) == limit
	for _, h := range x.Poll {
		if before[h] < limit && capacity[h] == 0 {
			x.result.Saturated = append(x.result.Saturated, h)
		}
	}
}

// commit ends an exchange.
func (p *pool) commit(x exchange) {
	for handler, n := range x.ended {
		p.running[handler] -= n
	}
	for handler, n := range x.claimed {
		p.running[handler] += n
	}
	_, drained := p.Finish(x.Reservation, p.total, x.ended, x.claimed, x.result)
	if drained && slices.ContainsFunc(p.due, func(h string) bool { return slices.Contains(p.Shared(), h) }) {
		p.PollAll() // the pool looks up when the next task is due
	}
	for _, h := range x.added {
		p.add(h + " 1")
	}
	p.awake = true
}

// settle runs exchanges until nothing can be claimed, and returns the handlers of their polls, such as "go,http", or
// "-" for an exchange without a poll.
func (p *pool) settle(outcomes string) (polls []string) {
	for x, ok := p.begin(outcomes); ok; x, ok = p.begin("") {
		p.commit(x)
		polls = append(polls, cmp.Or(strings.Join(x.Poll, ","), "-"))
		if len(polls) > 1000 {
			return append(polls, "… without end")
		}
	}
	return polls
}

func (p *pool) state() string {
	var parts []string
	for _, h := range handlers {
		if p.running[h] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", h, p.running[h]))
		}
	}
	return strings.Join(parts, ", ")
}

// TestPolls: which handlers are polled together, and what runs in the end.
func TestPolls(t *testing.T) {
	type step struct {
		add, end string // tasks that become due; running tasks that end in one exchange
		polls    string // of the exchanges that follow, until nothing can be claimed
		running  string
	}
	tests := map[string]struct {
		slots  int
		limits map[string]int
		steps  []step
	}{
		"nothing is due": {8, nil, []step{{polls: "go,http,shell"}}},
		"one poll for all handlers": {8, map[string]int{"shell": 3, "http": 4}, []step{
			{add: "go 2, http 1, shell 1", polls: "go,http,shell", running: "go 2, http 1, shell 1"},
		}},
		"all slots are used": {4, nil, []step{
			{add: "go 6", polls: "go,http,shell", running: "go 4"},
			{end: "go 1", polls: "go,http,shell", running: "go 4"},
			{end: "go 3", polls: "go,http,shell", running: "go 2"},
		}},
		"tasks of a full handler hide no others": {8, map[string]int{"shell": 3}, []step{
			{add: "shell 20, go 3", polls: "go,http,shell go,http shell", running: "go 3, shell 3"},
		}},
		"a full handler is polled alone when one of its tasks ends": {8, map[string]int{"shell": 3}, []step{
			{add: "shell 6", polls: "go,http,shell go,http shell", running: "shell 3"},
			{end: "shell 1", polls: "shell", running: "shell 3"},
			{end: "shell 2", polls: "shell", running: "shell 3"},
		}},
		"a poll that returns fewer tasks ends the saturation": {8, map[string]int{"shell": 2}, []step{
			{add: "shell 3", polls: "go,http,shell go,http shell", running: "shell 2"},
			{end: "shell 2", polls: "shell", running: "shell 1"},
			{add: "go 1", polls: "go,http,shell", running: "go 1, shell 1"},
		}},
		"a full handler is not polled when others become due": {8, map[string]int{"shell": 3}, []step{
			{add: "shell 20", polls: "go,http,shell go,http shell", running: "shell 3"},
			{add: "go 2", polls: "go,http", running: "go 2, shell 3"},
		}},
		"two full handlers beside an unlimited one take turns": {20, map[string]int{"shell": 2, "http": 1}, []step{
			{add: "shell 9, http 9, go 9", polls: "go,http,shell go shell", running: "go 9, http 1, shell 2"},
			{end: "shell 1, http 1", polls: "http shell", running: "go 9, http 1, shell 2"},
			{end: "go 9", polls: "-", running: "http 1, shell 2"},
		}},
		"a full handler waits for slots as others do": {2, map[string]int{"shell": 1}, []step{
			{add: "go 3, shell 2", polls: "go,http,shell", running: "go 2"},
			{end: "go 2", polls: "go,http,shell", running: "go 1, shell 1"},
			{end: "go 1", polls: "go,http", running: "shell 1"},
			{end: "shell 1", polls: "shell", running: "shell 1"},
		}},
		"all handlers are full": {9, map[string]int{"go": 1, "http": 1, "shell": 1}, []step{
			{add: "go 2, http 2, shell 2", polls: "go,http,shell shell", running: "go 1, http 1, shell 1"},
			{add: "go 1", polls: "", running: "go 1, http 1, shell 1"},
			{end: "http 1", polls: "http", running: "go 1, http 1, shell 1"},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPool(test.slots, nil, slots.NewLimits(test.limits))
			p.PollAll()
			for i, s := range test.steps {
				if s.add != "" {
					p.add(s.add)
				}
				polls := strings.Join(p.settle(s.end), " ")
				if s.polls != polls {
					t.Errorf("step %d: polls %q, want %q", i, polls, s.polls)
				}
				if got := p.state(); got != s.running || p.Used() > test.slots {
					t.Errorf("step %d: running %q, want %q; %d slots used", i, got, s.running, p.Used())
				}
			}
		})
	}
}
