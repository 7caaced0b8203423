package workers

import (
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// world is pools of one process over outboxes that are lists, step by step: loops, wakings and looks as in the real
// ones.
type world struct {
	r      *rapid.T
	slots  int
	limits *HandlerLimits
	pools  []*simulated
}

// simulated is a pool with its outbox, and what it runs.
type simulated struct {
	pool    *Pool
	due     []string // handlers of the rows, oldest first
	running []*pipelines.Claim
	ended   []*pipelines.Outcome
	loops   [concurrentExchanges]loop
}

// loop is where one of a pool's loops stands.
type loop struct {
	awake, turning bool
	request        engine.ExchangeRequest
	held           reservation
	result         engine.ExchangeResult
	rows           []string // that it has taken
	idle           int      // times in a row that it found a turn worth it, and then not
}

func limitedHandlers(t rapid.TB) *tasks.Registry {
	none := func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil }
	handlers, err := tasks.NewRegistry([]tasks.Handler{
		tasks.NewHandler("free", none), tasks.WithLimit(tasks.NewHandler("one", none), 1),
		tasks.WithLimit(tasks.NewHandler("three", none), 3),
	})
	if err != nil {
		t.Fatal(err)
	}
	return handlers
}

func newWorld(r *rapid.T) *world {
	handlers := limitedHandlers(r)
	w := &world{r: r, slots: rapid.IntRange(1, 8).Draw(r, "slots")}
	w.limits = NewHandlerLimits(handlers, nil, w.slots)
	c := Config{Slots: w.slots, Limits: w.limits}
	n := rapid.IntRange(1, 3).Draw(r, "pools")
	if n > 1 {
		c.Budget = NewFairSemaphore(w.slots)
	}
	for range n {
		w.pools = append(w.pools, &simulated{pool: New(c, Deps{Handlers: handlers})})
	}
	return w
}

func (s *simulated) add(handlers ...string) {
	s.due = append(s.due, handlers...)
	s.pool.pollNow()
}

// end has the oldest n of what runs end.
func (s *simulated) end(n int) {
	for _, c := range s.running[:n] {
		s.ended = append(s.ended, &pipelines.Outcome{Claim: c})
	}
	s.running = s.running[n:]
}

// scout is told that the outbox is dry, and looks for what is due of what would be looked for.
func (s *simulated) scout() (told bool) {
	select {
	case <-s.pool.drained:
		handlers := s.pool.handlersOf(&s.pool.shared)
		if slices.ContainsFunc(s.due, func(h string) bool { return slices.Contains(handlers, h) }) {
			s.pool.pollNow()
		}
		return true
	default:
		return false
	}
}

// step takes a loop one step further; false: it sleeps.
func (w *world) step(s *simulated, l *loop, successor string, fails bool) bool {
	switch {
	case l.turning:
		w.commit(s, l, fails)
		return true
	case !l.awake && len(s.ended) == 0:
		select {
		case <-s.pool.wakeup:
			l.awake = true
		default:
			return false
		}
	}
	group := s.ended
	if s.ended = nil; len(group) == 0 && !s.pool.canClaim(context.Background()) {
		l.awake = false
		return true
	}
	l.awake = true
	l.request, l.held = s.pool.reserve(context.Background(), group)
	if len(group) == 0 && l.request.Filter.Limit == 0 {
		if l.idle++; l.idle > 100 {
			w.r.Fatalf("a loop spins")
		}
		return true
	}
	l.turning, l.idle = true, 0
	s.transaction(l, successor)
	return true
}

// transaction does what the engine does: what becomes ready first, then a look.
func (s *simulated) transaction(l *loop, successor string) {
	l.result, l.rows = engine.ExchangeResult{}, nil
	asked := l.request.Filter
	rooms := map[string]int{}
	for name, n := range asked.Capacity {
		rooms[name] = n
	}
	asked.Capacity = rooms
	claim := func(h string) {
		if _, limited := rooms[h]; limited {
			rooms[h]--
		}
		l.result.Claims = append(l.result.Claims, pipelines.Claim{Task: tasks.Task{Handler: h, Priority: 1}})
	}
	if room, limited := rooms[successor]; successor != "" && len(l.request.Outcomes) > 0 {
		if l.request.EagerMax > 0 && (!limited || room > 0) {
			claim(successor)
			asked.Limit--
		} else {
			s.add(successor)
		}
	}
	if !l.request.PollOutbox {
		return
	}
	asked.Handlers = l.request.PollHandlers
	most := 0
	for _, h := range asked.Handlers {
		if room, limited := rooms[h]; limited {
			most += room
		} else {
			most += asked.Limit
		}
	}
	asked.Limit = min(asked.Limit, most)
	before := map[string]int{}
	for h, n := range rooms {
		before[h] = n
	}
	l.result.PollFilter = outbox.ClaimFilter{Handlers: asked.Handlers, Limit: asked.Limit, Capacity: before}
	seen := 0
	s.due = slices.DeleteFunc(s.due, func(h string) bool {
		room, limited := rooms[h]
		if seen >= asked.Limit || !slices.Contains(asked.Handlers, h) {
			return false
		}
		seen++
		if limited && room <= 0 {
			return false
		}
		claim(h)
		l.rows = append(l.rows, h)
		l.result.FromOutbox++
		return true
	})
}

func (w *world) commit(s *simulated, l *loop, fails bool) {
	l.turning = false
	if fails {
		s.due = append(l.rows, s.due...)
		s.pool.cancelReservation(l.held)
		s.pool.release(l.request.Outcomes)
		s.pool.pollNow()
		return
	}
	s.pool.applyResult(context.Background(), l.request, l.held, l.result)
	for i := range l.result.Claims {
		s.running = append(s.running, &l.result.Claims[i])
	}
}

// used counts what holds slots, by handler and in all.
func (w *world) used() (n map[string]int, all int) {
	n = map[string]int{}
	for _, s := range w.pools {
		for c := range s.pool.running {
			n[c.Task.Handler]++
			all++
		}
	}
	return n, all
}

// check: no more of a handler run than its limit, and no more in all than there are slots.
func (w *world) check(r *rapid.T) {
	n, all := w.used()
	for _, room := range w.limits.State() {
		if n[room.Handler] > room.Limit || room.Used > room.Limit || room.Used < n[room.Handler] {
			r.Fatalf("%d of %+v run", n[room.Handler], room)
		}
	}
	if all > w.slots {
		r.Fatalf("%d run in %d slots", all, w.slots)
	}
}

// settled goes on until all loops sleep; then nothing waits that there is a slot and room for.
func (w *world) settled(r *rapid.T) {
	for steps := 0; ; steps++ {
		if steps > 10_000 {
			r.Fatalf("the pools never come to rest")
		}
		moved := false
		for _, s := range w.pools {
			moved = s.scout() || moved
			for i := range s.loops {
				moved = w.step(s, &s.loops[i], "", false) || moved
			}
		}
		w.check(r)
		if !moved {
			break
		}
	}
	n, all := w.used()
	for i, s := range w.pools {
		for _, h := range s.due {
			room := slices.IndexFunc(w.limits.State(),
				func(x HandlerCapacity) bool { return x.Handler == h && n[h] >= x.Limit })
			if all < w.slots && room < 0 {
				r.Fatalf("pool %d sleeps although %q waits: %v run, of %d slots", i, h, n, w.slots)
			}
		}
	}
}

// TestSearchModel: whatever several pools with shared limits do at once, no limit is passed, nothing waits beside a
// free slot and room, no loop spins, and in the end all has been run and nothing is reserved.
func TestSearchModel(t *testing.T) {
	names := rapid.SampledFrom([]string{"free", "one", "three"})
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(r)
		pools := rapid.SampledFrom(w.pools)
		r.Repeat(map[string]func(*rapid.T){
			"add": func(r *rapid.T) { pools.Draw(r, "pool").add(rapid.SliceOfN(names, 1, 12).Draw(r, "handlers")...) },
			"end": func(r *rapid.T) {
				s := pools.Draw(r, "pool")
				s.end(rapid.IntRange(0, len(s.running)).Draw(r, "n"))
			},
			"scout": func(r *rapid.T) { pools.Draw(r, "pool").scout() },
			"step": func(r *rapid.T) {
				s := pools.Draw(r, "pool")
				l := &s.loops[rapid.IntRange(0, concurrentExchanges-1).Draw(r, "loop")]
				successor := rapid.SampledFrom([]string{"", "free", "one", "three"}).Draw(r, "successor")
				w.step(s, l, successor, rapid.IntRange(0, 9).Draw(r, "fails") == 0)
			},
			"settle": w.settled,
			"":       w.check,
		})
		for rounds := 0; ; rounds++ {
			w.settled(r)
			left := 0
			for _, s := range w.pools {
				left += len(s.due) + len(s.running)
				s.end(len(s.running))
			}
			if left == 0 {
				break
			}
			if rounds > 10_000 {
				r.Fatalf("%d tasks are never run", left)
			}
		}
		for _, room := range w.limits.State() {
			if room.Used != 0 {
				r.Fatalf("at the end %+v", room)
			}
		}
	})
}

// TestCrowdedStandsInFrontOfNobody: behind more tasks of a handler than a look may take, those of another are found
// without anybody telling of them again; and both searches have their turn.
func TestCrowdedStandsInFrontOfNobody(t *testing.T) {
	w := &world{slots: 8}
	s := &simulated{pool: New(Config{Slots: w.slots}, Deps{Handlers: limitedHandlers(t)})}
	s.add(slices.Concat(slices.Repeat([]string{"three"}, 20), slices.Repeat([]string{"free"}, 3))...)
	for moved := true; moved; {
		moved = w.step(s, &s.loops[0], "", false)
	}
	claimed := map[string]int{}
	for _, c := range s.running {
		claimed[c.Task.Handler]++
	}
	if claimed["three"] != 3 || claimed["free"] != 3 {
		t.Errorf("%v run", claimed)
	}
}

// TestHeadsBelongToTheirHandlers: what was learnt when others were looked for is not believed, and not everything is
// remembered for ever.
func TestHeadsBelongToTheirHandlers(t *testing.T) {
	p := New(Config{Slots: 8}, Deps{Handlers: limitedHandlers(t)})
	common := p.claimFilter(&p.shared, 1)
	if again := p.claimFilter(&p.shared, 1); again.Cursors != common.Cursors {
		t.Error("the common search forgets its heads")
	}
	s := p.isolate("three")
	own, rest := p.claimFilter(s, 1), p.claimFilter(&p.shared, 1)
	if own.Cursors == rest.Cursors || own.Cursors == common.Cursors || rest.Cursors == common.Cursors {
		t.Error("looks for different handlers share their heads")
	}
	p.merge(s)
	if again := p.claimFilter(&p.shared, 1); again.Cursors != common.Cursors ||
		slices.Compare(again.Handlers, common.Handlers) != 0 {
		t.Error("the common search is not as it was")
	}
	for i := range 10 * maxCursors {
		p.cursorsFor([]string{string(rune('a' + i))})
	}
	if len(p.cursors) > maxCursors {
		t.Errorf("%d heads are remembered", len(p.cursors))
	}
}
