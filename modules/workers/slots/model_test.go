package slots_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/workers/slots"
)

// process is the pools of a process, which share its slots and limits.
type process struct {
	total  int
	limits *slots.Limits
	pools  []*modelPool
}

// modelPool is a pool with up to two exchanges in progress, and tasks that have ended and are not yet recorded.
type modelPool struct {
	*pool
	exchanges []exchange
	ended     map[string]int // by handler; those of the exchanges included
	idle      int            // times in a row that an exchange had a reason to begin, and then had nothing to claim
}

func newProcess(r *rapid.T) *process {
	total := rapid.IntRange(1, 8).Draw(r, "slots")
	p := &process{total: total, limits: slots.NewLimits(map[string]int{"http": 1, "shell": 3})}
	shared := slots.NewSemaphore(total)
	for range rapid.IntRange(1, 3).Draw(r, "pools") {
		p.pools = append(p.pools, &modelPool{pool: newPool(total, shared, p.limits), ended: map[string]int{}})
	}
	return p
}

// step begins an exchange or ends one. It returns false if the pool has nothing to do. If busy, exchanges may fail, and
// tasks become ready in them.
func (m *modelPool) step(r *rapid.T, busy bool) bool {
	if len(m.exchanges) == 2 || len(m.exchanges) > 0 && rapid.Bool().Draw(r, "end one") {
		m.endExchange(busy && rapid.IntRange(0, 9).Draw(r, "fails") == 0)
		return true
	}
	var outcomes []string
	for _, h := range handlers {
		if n := m.ended[h] - m.recording(h); n > 0 {
			outcomes = append(outcomes, fmt.Sprintf("%s %d", h, n))
		}
	}
	if len(outcomes) == 0 && !m.awake {
		return len(m.exchanges) > 0
	}
	var ready []string
	if busy && len(outcomes) > 0 {
		ready = rapid.SliceOfN(rapid.SampledFrom(handlers), 0, 2).Draw(r, "ready")
	}
	x, ok := m.begin(strings.Join(outcomes, ", "), ready...)
	if m.idle++; ok {
		m.exchanges, m.idle = append(m.exchanges, x), 0
	}
	if m.idle > 100 {
		r.Fatal("a pool begins exchanges that can claim nothing")
	}
	return true
}

// recording returns how many outcomes of a handler the exchanges record.
func (m *modelPool) recording(handler string) (n int) {
	for _, x := range m.exchanges {
		n += x.ended[handler]
	}
	return n
}

// endExchange ends the oldest exchange. If it fails, its outcomes are recorded without it.
func (m *modelPool) endExchange(fails bool) {
	x := m.exchanges[0]
	m.exchanges = m.exchanges[1:]
	for h, n := range x.ended {
		m.ended[h] -= n
	}
	if !fails {
		m.commit(x)
		return
	}
	for h, n := range x.ended {
		m.running[h] -= n
	}
	m.due = append(x.rows, m.due...)
	m.Cancel(x.Reservation)
	m.Release(x.ended)
	m.add("")
}

// check fails if more tasks run than there are slots, or more of a handler than its limit. It returns how many of a
// handler run, and the free slots.
func (p *process) check(r *rapid.T) (running map[string]int, free int) {
	running, free = map[string]int{}, p.total
	for _, m := range p.pools {
		for h, n := range m.running {
			running[h] += n
			free -= n
		}
	}
	for _, c := range p.limits.State() {
		if running[c.Handler] > c.Used || c.Used > c.Limit {
			r.Fatalf("%d tasks run of %+v", running[c.Handler], c)
		}
	}
	if free < 0 {
		r.Fatalf("%d slots too many are used", -free)
	}
	return running, free
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
	running, free := p.check(r)
	for i, m := range p.pools {
		for _, h := range m.due {
			full := slices.Contains(p.limits.State(), slots.Capacity{Handler: h, Limit: running[h], Used: running[h]})
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
		lists := rapid.SampledFrom([]string{"go 1", "http 1", "shell 1", "go 5", "shell 9, go 2", "http 2, shell 2"})
		r.Repeat(map[string]func(*rapid.T){
			"add": func(r *rapid.T) { pools.Draw(r, "pool").add(lists.Draw(r, "tasks")) },
			"end": func(r *rapid.T) {
				m, h := pools.Draw(r, "pool"), rapid.SampledFrom(handlers).Draw(r, "handler")
				m.ended[h] = rapid.IntRange(m.ended[h], m.running[h]).Draw(r, "ended")
			},
			"step":   func(r *rapid.T) { pools.Draw(r, "pool").step(r, true) },
			"settle": p.settle,
			"":       func(r *rapid.T) { p.check(r) },
		})
		for rounds, left := 0, 1; left > 0; rounds++ {
			p.settle(r)
			left = 0
			for _, m := range p.pools {
				for _, h := range handlers {
					left += m.running[h]
					m.ended[h] = m.running[h]
				}
				left += len(m.due)
			}
			if rounds > 1000 {
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
