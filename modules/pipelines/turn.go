package pipelines

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// Turn is what a worker hands over, and what it asks for, in one transaction: outcomes of tasks that have ended, and new ones for its
// free slots.
type Turn struct {
	Worker         string
	LeaseExpiresAt db.Time // of the worker, as it last renewed it
	Outcomes       []*Outcome
	Want           outbox.Want // its limit is the number of free slots, those of the outcomes included; 0: nothing is claimed
	Look           bool        // claim what is due in the outbox
	LookFor        []string    // of the handlers wanted, those that are looked for there; empty: all
	// Successors is how many tasks that become ready in this transaction may be claimed in it, ahead of what waits in the outbox,
	// if they are at least as urgent as SuccessorPriority. Whoever sets it sees to it that the outbox has its turn.
	Successors        int
	SuccessorPriority int
	// SuccessorPriorities are those of handlers that have another.
	SuccessorPriorities map[string]int
}

// Turned is what came of a Turn.
type Turned struct {
	Lost    []error // an error for each outcome, see Engine.Finish
	Claims  []Claim
	Taken   int         // of the claims, those from the outbox; they are the last ones, the most urgent first
	Asked   outbox.Want // what the outbox was asked for, when it was: that for which the other claims had left slots and room
	Expired bool        // the worker's lease has expired, so nothing was claimed
}

// Turn records outcomes and claims tasks in one transaction.
func (e *Engine) Turn(ctx context.Context, r Turn) (Turned, error) {
	for trust := true; ; {
		var t *turn
		err := e.db.Transaction(ctx, func(tx db.Tx) error {
			t = &turn{Turn: r, engine: e, tx: tx, trust: trust, locked: map[db.ID]Execution{}, lost: map[*Outcome]bool{}, gone: map[db.ID]error{}}
			if err := t.run(ctx); err != nil {
				return err
			}
			if len(t.gone) > 0 {
				return ErrDefinitionGone // roll back: those executions are ended first
			}
			return nil
		})
		if errors.Is(err, leases.ErrExpired) {
			return Turned{Expired: true}, nil
		}
		if err == nil {
			if len(r.Outcomes) > 0 {
				e.waker.committed(ctx, t.ready > 0)
			}
			return t.result(), nil
		}
		if t != nil && trust && (t.planning || errors.Is(err, tasks.ErrMoved)) && !errors.Is(err, db.ErrUnavailable) {
			trust = false // an outcome whose claim is lost may be among them: the rows show which
			continue
		}
		if t == nil || !isGone(err) || len(t.gone) == 0 {
			return Turned{}, err
		}
		for id, reason := range t.gone {
			if err := e.abandon(ctx, id, reason.Error()); err != nil {
				return Turned{}, err
			}
		}
	}
}

// turn is a Turn under way in a transaction.
type turn struct {
	Turn
	engine *Engine
	tx     db.Tx

	trust    bool // the claims of the outcomes hold
	planning bool // what follows from the outcomes is not known yet
	leased   bool // the worker's lease holds
	locked   map[db.ID]Execution
	groups   []*group
	lost     map[*Outcome]bool
	ready    int // tasks that have got an outbox row
	claims   []Claim
	moves    []*tasks.Move // of the claims from the outbox
	asked    outbox.Want   // see Turned
	taking   *outbox.Taking
	taken    int
	gone     map[db.ID]error // executions whose definition can't be had
}

func (t *turn) run(ctx context.Context) error {
	if err := t.read(); err != nil {
		return err
	}
	t.planning = true
	plans, err := t.plan(ctx)
	if err != nil {
		return err
	}
	t.planning = false
	if t.leased {
		t.claimSuccessors()
		if err := t.claimDue(ctx); err != nil {
			return err
		}
		if err := t.needs(); err != nil {
			return err
		}
		if err := t.pasts(); err != nil {
			return err
		}
	}
	if t.ready, err = t.engine.write(t.tx, plans, t.moves...); err != nil {
		return err
	}
	return t.engine.tasks.WriteChunks(t.tx, logs(t.Outcomes, t.lost))
}

// read asks for all that the outcomes are about at once. The order is that of locks: the worker's row, then the executions.
func (t *turn) read() error {
	if t.Want.Limit > 0 {
		if err := t.engine.leases.CheckLater(t.tx, t.Worker, &t.leased); err != nil {
			return err
		}
	}
	t.groups = grouped(t.Outcomes)
	var names []tasks.Name
	byID := make(map[db.ID]*group, len(t.groups))
	for _, g := range t.groups {
		byID[g.id] = g
		names = append(names, g.surroundings(t.trust)...)
	}
	if err := t.engine.pipelines.countLater(t.tx, t.groups, t.locked); err != nil {
		return err
	}
	if len(t.groups) == 0 && t.Want.Limit > 0 && t.Look {
		var err error // nothing comes before it
		if t.taking, err = t.engine.outbox.TakeLater(t.tx, t.ask()); err != nil {
			return err
		}
	}
	var near []tasks.Task
	if err := t.engine.tasks.LoadNamesLater(t.tx, distinct(names), &near); err != nil {
		return err
	}
	if err := t.tx.Flush(); err != nil {
		return err
	}
	if t.taking != nil && !t.leased {
		return leases.ErrExpired // roll back what has been taken
	}
	for _, task := range near {
		g := byID[task.PipelineExecutionID]
		g.near = append(g.near, task)
	}
	return nil
}

// claimSuccessors claims tasks that have become ready just now, the most urgent first.
func (t *turn) claimSuccessors() {
	type successor struct {
		g *group
		n *node
	}
	var found []successor
	for _, g := range t.groups {
		if g.plan == nil || g.def == nil || g.plan.execution.Status != Running || !g.plan.execution.claimableBy(t.Worker) {
			continue
		}
		for _, n := range g.plan.order {
			if n.justReady() && t.urgent(n.task) && t.Want.Serves(n.task.Queued(t.tx.Now)) {
				found = append(found, successor{g, n})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b successor) int { return a.n.task.Priority - b.n.task.Priority })
	rooms, most := maps.Clone(t.Want.Rooms), min(t.Successors, t.Want.Limit)
	for _, s := range found {
		room, limited := rooms[s.n.task.Handler]
		if len(t.claims) == most {
			break
		}
		if limited {
			if room <= 0 {
				continue // it gets a row in the outbox
			}
			rooms[s.n.task.Handler]--
		}
		s.n.move.Claim(t.Worker, t.LeaseExpiresAt, t.tx.Now).MarkStarted()
		s.n.task = s.n.move.Task
		definition, _ := s.g.def.Task(s.n.name)
		t.claims = append(t.claims, Claim{
			Task: s.n.task, Pipeline: s.g.def.Name, RunAttempt: s.g.plan.execution.Attempt, Definition: definition, Input: s.g.input, def: s.g.def, plan: s.g.plan,
		})
	}
}

// urgent reports whether nothing that waits in the outbox comes before a task that has become ready.
func (t *turn) urgent(task tasks.Task) bool {
	if bound, ok := t.SuccessorPriorities[task.Handler]; ok {
		return task.Priority <= bound
	}
	return task.Priority <= t.SuccessorPriority
}

func (t *turn) result() Turned {
	r := Turned{Lost: make([]error, len(t.Outcomes)), Claims: t.claims, Taken: t.taken, Asked: t.asked, Expired: t.Want.Limit > 0 && !t.leased}
	for i, o := range t.Outcomes {
		if t.lost[o] {
			r.Lost[i] = tasks.ErrClaimLost
		}
	}
	for i := range r.Claims {
		r.Claims[i].plan = nil // it has served
	}
	return r
}

// justReady reports a task that becomes ready in this plan for the first time, and so is due.
func (n *node) justReady() bool {
	return n.move != nil && n.task.Status == tasks.Ready && n.move.Steps[len(n.move.Steps)-1].Transition.Name == tasks.MarkReady.Name
}

// ended gives a task that completes in the plan; nil if it does not, or there is no plan.
func (p *plan) ended(name string) *node {
	if p == nil {
		return nil
	}
	if n, ok := p.nodes[name]; ok && n.move != nil && n.task.Status == tasks.Completed {
		return n
	}
	return nil
}
