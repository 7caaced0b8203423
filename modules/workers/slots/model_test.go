package slots_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/workers/slots"
)

// process is the pools of a process, each with up to two exchanges in progress and with outcomes to record.
type process struct {
	total  int
	limits *slots.Limits
	pools  []*modelPool
}

type modelPool struct {
	*pool
	exchanges []exchange
	ended     []string // handlers of ended tasks
	idle      int      // times in a row that an exchange had a reason to begin, and then had nothing to claim
}

func newProcess(r *rapid.T) *process {
	total := rapid.IntRange(1, 8).Draw(r, "slots")
	p := &process{total: total, limits: slots.NewLimits(map[string]int{"http": 1, "shell": 3})}
	n := rapid.IntRange(1, 3).Draw(r, "pools")
	var shared *slots.Semaphore
	if n > 1 {
		shared = slots.NewSemaphore(total)
	}
	for range n {
		p.pools = append(p.pools, &modelPool{pool: newPool(total, shared, p.limits)})
	}
	return p
}

// step begins an exchange or commits one. It returns false if the pool has nothing to do. If busy, exchanges may fail,
// and tasks become ready in them.
func (m *modelPool) step(r *rapid.T, busy bool) bool {
	switch {
	case len(m.exchanges) == 2 || len(m.exchanges) > 0 && rapid.Bool().Draw(r, "commit"):
		x := m.exchanges[0]
		m.exchanges = m.exchanges[1:]
		if busy && rapid.IntRange(0, 9).Draw(r, "fails") == 0 {
			m.fail(x)
		} else {
			m.commit(x)
		}
		return true
	case !m.awake && len(m.ended) == 0:
		return len(m.exchanges) > 0 // to be committed
	}
	outcomes := ""
	for _, h := range handlers {
		n := len(slices.DeleteFunc(slices.Clone(m.ended), func(other string) bool { return other != h }))
		if n > 0 {
			outcomes += fmt.Sprintf(", %s %d", h, n)
		}
	}
	var ready []string
	if m.ended = nil; busy && outcomes != "" {
		ready = rapid.SliceOfN(rapid.SampledFrom(handlers), 0, 2).Draw(r, "ready")
	}
	x, ok := m.begin(outcomes, ready...)
	if m.idle++; ok {
		m.exchanges, m.idle = append(m.exchanges, x), 0
	}
	if m.idle > 100 {
		r.Fatal("a pool begins exchanges that can claim nothing")
	}
	return true
}

// fail rolls an exchange back. Its outcomes are recorded later.
func (m *modelPool) fail(x exchange) {
	m.due = append(x.rows, m.due...)
	m.Cancel(x.Reservation)
	m.Release(x.ended)
	for h, n := range x.ended {
		m.running[h] -= n
	}
	m.add("")
}

// end ends n of the running tasks.
func (m *modelPool) end(n int) {
	for _, h := range handlers {
		count := m.running[h]
		for _, x := range m.ended {
			if x == h {
				count--
			}
		}
		for _, x := range m.exchanges {
			count -= x.ended[h]
		}
		for ; count > 0 && n > 0; count, n = count-1, n-1 {
			m.ended = append(m.ended, h)
		}
	}
}

// check fails if more tasks run than there are slots, or more of a handler than its limit.
func (p *process) check(r *rapid.T) {
	all := 0
	for _, m := range p.pools {
		for _, h := range handlers {
			all += m.running[h]
		}
	}
	if all > p.total {
		r.Fatalf("%d tasks run in %d slots", all, p.total)
	}
	for _, c := range p.limits.State() {
		if n := p.runningOf(c.Handler); n > c.Used || c.Used > c.Limit {
			r.Fatalf("%d tasks run of %+v", n, c)
		}
	}
}

func (p *process) runningOf(handler string) (n int) {
	for _, m := range p.pools {
		n += m.running[handler]
	}
	return n
}

// settle continues until all pools have nothing to do. Then no task waits for which there is a slot and capacity.
func (p *process) settle(r *rapid.T) {
	for steps, moved := 0, true; moved; steps++ {
		moved = false
		for _, m := range p.pools {
			moved = m.step(r, false) || moved
		}
		if p.check(r); steps > 10_000 {
			r.Fatal("the pools never come to rest")
		}
	}
	free := p.total
	for _, h := range handlers {
		free -= p.runningOf(h)
	}
	for i, m := range p.pools {
		for _, h := range m.due {
			full := slices.ContainsFunc(p.limits.State(),
				func(c slots.Capacity) bool { return c.Handler == h && p.runningOf(h) == c.Limit })
			if free > 0 && !full {
				r.Fatalf("pool %d has nothing to do, but a task of %q waits: %d slots are free", i, h, free)
			}
		}
	}
}

// TestSchedulerModel: whatever several pools with shared slots and limits do at once, no limit is exceeded, no task
// waits beside a free slot and capacity, no pool is busy for nothing, and in the end all tasks have run and nothing is
// reserved.
func TestSchedulerModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := newProcess(r)
		pools := rapid.SampledFrom(p.pools)
		tasks := rapid.SliceOfN(rapid.SampledFrom([]string{"go 1", "http 1", "shell 1", "go 5", "shell 9"}), 1, 5)
		r.Repeat(map[string]func(*rapid.T){
			"add": func(r *rapid.T) {
				m := pools.Draw(r, "pool")
				for _, list := range tasks.Draw(r, "tasks") {
					m.add(list)
				}
			},
			"end":    func(r *rapid.T) { pools.Draw(r, "pool").end(rapid.IntRange(1, 5).Draw(r, "n")) },
			"step":   func(r *rapid.T) { pools.Draw(r, "pool").step(r, true) },
			"settle": p.settle,
			"":       p.check,
		})
		for rounds, left := 0, 1; left > 0; rounds++ {
			p.settle(r)
			left = 0
			for _, m := range p.pools {
				left += len(m.due) + m.running["go"] + m.running["http"] + m.running["shell"]
				m.end(100)
			}
			if rounds > 10_000 {
				r.Fatalf("%d tasks never run", left)
			}
		}
		for _, c := range p.limits.State() {
			if c.Used != 0 || p.pools[0].Used() != 0 {
				r.Fatalf("in the end, %+v and %d slots are used", c, p.pools[0].Used())
			}
		}
	})
}
