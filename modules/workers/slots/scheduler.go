// Package slots decides how many tasks a worker claims, and of which handlers. It shares the slots of a process, and
// the capacity of the handlers with a limit, between the pools of its tenants. It starts no goroutines, reads no clock
// and uses no database.
package slots

import "slices"

// outboxFirstEvery is the interval, in exchanges, at which an exchange uses all free slots for tasks in the outbox. In
// the other exchanges, tasks that become ready in the exchange itself are claimed first (eager claim), unless more
// urgent tasks wait in the outbox. Thus the outbox is never starved, and runs that have started also make progress.
const outboxFirstEvery = 8

// Scheduler decides for one pool what each exchange may claim, and which handlers it polls for. Reserve is called
// before an exchange, and Finish or Cancel after it. Exchanges may overlap. A Scheduler is not safe for concurrent use.
//
// Normally one poll asks for all handlers. A handler with a limit is saturated if more of its tasks may be due than it
// has capacity for. The polls for all handlers could then return only its tasks. Therefore these polls leave it out,
// and it is polled alone, in turn with the others, for as many tasks as it has capacity. When a poll returns fewer
// tasks than that, no more of its tasks are due, and the handler is polled together with the others again.
type Scheduler struct {
	handlers []string // all handlers of the pool, sorted
	slots    *member  // slots of the pool, or of the process
	used     int      // slots of running tasks, and slots reserved by exchanges in progress
	shared   *group   // the handlers that are not saturated
	limited  []*group // one per handler with a limit, sorted by handler
	polls    int
}

// NewScheduler returns the scheduler of a pool that runs the tasks of the given handlers. Pools that share slots and
// capacity have the same semaphore and limits. wake is called when the pool has waited for slots or capacity and has
// received some, also from within calls of other schedulers. It must not block.
func NewScheduler(handlers []string, total *Semaphore, limits *Limits, wake func()) *Scheduler {
	s := &Scheduler{handlers: slices.Sorted(slices.Values(handlers)), slots: total.join(wake), shared: &group{}}
	for _, name := range s.handlers {
		if l := limits.handlers[name]; l != nil {
			s.limited = append(s.limited, &group{handler: name, capacity: l.join(wake)})
		}
	}
	return s
}

// Reservation is what one exchange may claim.
type Reservation struct {
	Limit    int            // number of tasks, including those that replace its outcomes; 0: none
	Capacity map[string]int // the same by handler, for handlers with a limit
	Poll     []string       // handlers to poll the outbox for; nil: no poll
	Polls    int            // how often these handlers have been polled, including this time
	// EagerMax is the maximum number of eager claims. Only tasks of EagerMinPriority or a more urgent priority may be
	// claimed eagerly. EagerMinPriorities overrides it for single handlers.
	EagerMax           int
	EagerMinPriority   int
	EagerMinPriorities map[string]int

	group    *group
	slots    int            // reserved in addition to the slots of the outcomes
	capacity map[string]int // the same for handlers with a limit
}

// PollResult is what a poll returned.
type PollResult struct {
	MoreDue   bool     // it returned as many tasks as it asked for, or had no slot left
	Saturated []string // handlers of which it returned as many tasks as there was capacity for
	// LastPriority is the priority of the least urgent task of each handler that it returned.
	LastPriority map[string]int
}

// Used returns how many slots running tasks use and exchanges have reserved.
func (s *Scheduler) Used() int { return s.used }

// Shared returns the handlers that are polled together. The others are polled when they have capacity, due or not.
func (s *Scheduler) Shared() []string { return s.handlersOf(s.shared) }

// PollAll makes the next exchanges poll for all handlers, because tasks may have become due.
func (s *Scheduler) PollAll() {
	s.shared.due = true
	for _, g := range s.limited {
		g.due = true
	}
}

// CanClaim reports whether an exchange without outcomes can claim anything: fewer than total slots are used, and the
// outbox may have due tasks of a handler with capacity. If shared slots or capacity are missing, the pool waits for
// them and is woken.
func (s *Scheduler) CanClaim(total int) bool {
	free := total - s.used
	if free <= 0 {
		s.Leave()
		return false
	}
	// Acquire handler capacity before slots. A pool may hold capacity while it waits for slots, but never slots while
	// it waits for capacity, so two pools cannot deadlock.
	if s.next(free, nil) == nil {
		s.slots.leave()
		return false
	}
	return s.slots.tryEnqueue(free)
}

// Leave stops waiting for slots and capacity, and returns what was granted.
func (s *Scheduler) Leave() {
	s.slots.leave()
	for _, g := range s.limited {
		g.capacity.leave()
	}
}

// Reserve returns what an exchange may claim if the pool may run total tasks at once. ended is the number of the
// exchange's outcomes by handler. If the Limit of the result is 0, nothing is reserved.
func (s *Scheduler) Reserve(total int, ended map[string]int) Reservation {
	outcomes, spare := sum(ended), total-s.used // spare is negative if total has been lowered
	keep, slots := s.slots.acquire(outcomes, max(spare, 0))
	r := Reservation{Limit: keep + slots + min(spare, 0), slots: slots}
	if r.Limit <= 0 {
		return Reservation{}
	}
	s.used += slots
	r.group = s.next(r.Limit, ended)
	s.reserveCapacity(&r, ended)
	if r.group == nil && outcomes == 0 { // another exchange polls already
		s.Cancel(r)
		return Reservation{}
	}
	s.setPoll(&r)
	return r
}

// reserveCapacity reserves capacity of the handlers with a limit. A poll of a saturated handler gets all its free
// capacity. The handlers of the shared group get half of theirs, so that concurrent exchanges can claim some, too. For
// other saturated handlers, only the share of the exchange's outcomes is available, for eager claims.
func (s *Scheduler) reserveCapacity(r *Reservation, ended map[string]int) {
	r.Capacity, r.capacity = make(map[string]int, len(s.limited)), make(map[string]int, len(s.limited))
	for _, g := range s.limited {
		keep, others := g.capacity.available(ended[g.handler])
		switch {
		case !g.saturated:
			keep, others = g.capacity.acquire(ended[g.handler], min(r.Limit, (others+1)/2))
		case g == r.group:
			keep, others = g.capacity.acquire(ended[g.handler], r.Limit)
		default:
			others = 0
		}
		if g == r.group && keep+others == 0 {
			r.group = nil // another pool has acquired the capacity
		}
		r.Capacity[g.handler], r.capacity[g.handler] = keep+others, others
	}
}

// setPoll sets what the exchange polls for, and what it may claim eagerly before that.
func (s *Scheduler) setPoll(r *Reservation) {
	r.EagerMax, r.EagerMinPriority = r.Limit, s.shared.eagerMinPriority()
	r.EagerMinPriorities = make(map[string]int, len(s.limited))
	for _, g := range s.limited {
		if g.saturated {
			r.EagerMinPriorities[g.handler] = g.eagerMinPriority()
		}
	}
	g := r.group
	if g == nil {
		s.shared.exchanges++
		return
	}
	s.polls++
	g.exchanges++
	g.polls++
	g.due, g.lastPolled = false, s.polls
	r.Poll, r.Polls = s.handlersOf(g), g.polls
	if g.exchanges%outboxFirstEvery == 0 {
		r.EagerMax = 0
	}
}

// Finish ends the reservation of a committed exchange. ended and claimed are its numbers of outcomes and of claims by
// handler, and poll what its poll returned, if it polled. The pool may run total tasks at once. The results report
// whether another exchange may be able to claim, and whether no further task of the polled handlers is due.
func (s *Scheduler) Finish(
	r Reservation, total int, ended, claimed map[string]int, poll PollResult,
) (claimable, drained bool) {
	s.release(r, ended, claimed)
	if r.group != nil {
		drained = s.recordPoll(r.group, poll)
	}
	waiting := s.shared.due || slices.ContainsFunc(s.limited, func(g *group) bool { return g.saturated })
	return waiting && s.used < total, drained
}

// Cancel ends the reservation of an exchange that did not commit.
func (s *Scheduler) Cancel(r Reservation) { s.release(r, nil, nil) }

// Release frees the slots and the capacity of outcomes that were recorded without a reservation, by handler.
func (s *Scheduler) Release(ended map[string]int) { s.release(Reservation{}, ended, nil) }

// release frees what an exchange reserved and what its outcomes used, less what its claims use now. Slots and capacity
// are released nowhere else.
func (s *Scheduler) release(r Reservation, ended, claimed map[string]int) {
	freed := r.slots + sum(ended) - sum(claimed)
	s.used -= freed
	s.slots.release(freed)
	for _, g := range s.limited {
		g.capacity.release(r.capacity[g.handler] + ended[g.handler] - claimed[g.handler])
	}
}

func sum(byHandler map[string]int) (n int) {
	for _, k := range byHandler {
		n += k
	}
	return n
}
