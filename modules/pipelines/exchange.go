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

// ExchangeRequest is what a worker hands over, and what it asks for, in one transaction: outcomes of tasks that have
// ended, and new ones for its free slots.
type ExchangeRequest struct {
	Worker         string
	LeaseExpiresAt db.Time // of the worker, as it last renewed it
	Outcomes       []*Outcome
	// its limit is the number of free slots, those of the outcomes included; 0: nothing is claimed
	Filter       outbox.ClaimFilter
	PollOutbox   bool     // claim what is due in the outbox
	PollHandlers []string // of the handlers wanted, those that are looked for there; empty: all
	// Successors is how many tasks that become ready in this transaction may be claimed in it, ahead of what waits in
	// the outbox, if they are at least as urgent as EagerMinPriority. Whoever sets it sees to it that the outbox has
	// its turn.
	EagerMax         int
	EagerMinPriority int
	// EagerMinPriorities are those of handlers that have another.
	EagerMinPriorities map[string]int
}

// ExchangeResult is what came of a Turn.
type ExchangeResult struct {
	Conflicts  []error // an error for each outcome, see Engine.RecordOutcomes
	Claims     []Claim
	FromOutbox int // of the claims, those from the outbox; they are the last ones, the most urgent first
	// what the outbox was asked for, when it was: that for which the other claims had left slots and room
	PollFilter outbox.ClaimFilter
	Expired    bool // the worker's lease has expired, so nothing was claimed
}

// CompleteAndClaim records outcomes and claims tasks in one transaction.
func (e *Engine) CompleteAndClaim(ctx context.Context, r ExchangeRequest) (ExchangeResult, error) {
	for trust := true; ; {
		var t *exchange
		err := e.db.Transaction(ctx, func(tx db.Tx) error {
			t = &exchange{ExchangeRequest: r, engine: e, tx: tx, optimistic: trust, locked: map[db.ID]Execution{}, conflicts: map[*Outcome]bool{}, missingDefinitions: map[db.ID]error{}}
			if err := t.run(ctx); err != nil {
				return err
			}
			if len(t.missingDefinitions) > 0 {
				return ErrDefinitionMissing // roll back: those executions are ended first
			}
			return nil
		})
		if errors.Is(err, leases.ErrExpired) {
			return ExchangeResult{Expired: true}, nil
		}
		if err == nil {
			if len(r.Outcomes) > 0 {
				e.notifier.committed(ctx, t.ready > 0)
			}
			return t.result(), nil
		}
		if t != nil && trust && (t.planning || errors.Is(err, tasks.ErrVersionConflict)) && !errors.Is(err, db.ErrUnavailable) {
			trust = false // an outcome whose claim is lost may be among them: the rows show which
			continue
		}
		if t == nil || !isDefinitionMissing(err) || len(t.missingDefinitions) == 0 {
			return ExchangeResult{}, err
		}
		for id, reason := range t.missingDefinitions {
			if err := e.abandon(ctx, id, reason.Error()); err != nil {
				return ExchangeResult{}, err
			}
		}
	}
}

// exchange is a Turn under way in a transaction.
type exchange struct {
	ExchangeRequest
	engine *Engine
	tx     db.Tx

	optimistic         bool // the claims of the outcomes hold
	planning           bool // what follows from the outcomes is not known yet
	leased             bool // the worker's lease holds
	locked             map[db.ID]Execution
	groups             []*executionOutcomes
	conflicts          map[*Outcome]bool
	ready              int // tasks that have got an outbox row
	claims             []Claim
	claimChanges       []*tasks.Change    // of the claims from the outbox
	pollFilter         outbox.ClaimFilter // see Turned
	pendingClaim       *outbox.PendingClaim
	fromOutbox         int
	missingDefinitions map[db.ID]error // executions whose definition can't be had
}

func (t *exchange) run(ctx context.Context) error {
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
		t.claimEager()
		if err := t.claimFromOutbox(ctx); err != nil {
			return err
		}
		if err := t.loadNeeds(); err != nil {
			return err
		}
		if err := t.pasts(); err != nil {
			return err
		}
	}
	if t.ready, err = t.engine.write(t.tx, plans, t.claimChanges...); err != nil {
		return err
	}
	return t.engine.tasks.WriteChunks(t.tx, logs(t.Outcomes, t.conflicts))
}

// read asks for all that the outcomes are about at once. The order is that of locks: the worker's row, then the
// executions.
func (t *exchange) read() error {
	if t.Filter.Limit > 0 {
		if err := t.engine.leases.QueueCheck(t.tx, t.Worker, &t.leased); err != nil {
			return err
		}
	}
	t.groups = groupByExecution(t.Outcomes)
	var names []tasks.Key
	byID := make(map[db.ID]*executionOutcomes, len(t.groups))
	for _, g := range t.groups {
		byID[g.id] = g
		names = append(names, g.tasksToLoad(t.optimistic)...)
	}
	if err := t.engine.pipelines.lockAndDecrement(t.tx, t.groups, t.locked); err != nil {
		return err
	}
	if len(t.groups) == 0 && t.Filter.Limit > 0 && t.PollOutbox {
		var err error // nothing comes before it
		if t.pendingClaim, err = t.engine.outbox.QueueClaim(t.tx, t.remainingFilter()); err != nil {
			return err
		}
	}
	var near []tasks.Task
	if err := t.engine.tasks.QueueLoadByKey(t.tx, distinct(names), &near); err != nil {
		return err
	}
	if err := t.tx.SendBatch(); err != nil {
		return err
	}
	if t.pendingClaim != nil && !t.leased {
		return leases.ErrExpired // roll back what has been taken
	}
	for _, task := range near {
		g := byID[task.PipelineExecutionID]
		g.loaded = append(g.loaded, task)
	}
	return nil
}

// claimEager claims tasks that have become ready just now, the most urgent first.
func (t *exchange) claimEager() {
	type successor struct {
		g *executionOutcomes
		n *node
	}
	var found []successor
	for _, g := range t.groups {
		if g.plan == nil || g.def == nil || g.plan.execution.Status != Running || !g.plan.execution.claimableBy(t.Worker) {
			continue
		}
		for _, n := range g.plan.order {
			if n.becameReady() && t.mayClaimEagerly(n.task) && t.Filter.Matches(n.task.OutboxEntry(t.tx.Now)) {
				found = append(found, successor{g, n})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b successor) int { return a.n.task.Priority - b.n.task.Priority })
	rooms, most := maps.Clone(t.Filter.Capacity), min(t.EagerMax, t.Filter.Limit)
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
		s.n.change.Claim(t.Worker, t.LeaseExpiresAt, t.tx.Now).MarkStarted()
		s.n.task = s.n.change.Task
		definition, _ := s.g.def.Task(s.n.name)
		t.claims = append(t.claims, Claim{
			Task: s.n.task, Pipeline: s.g.def.Name, RunAttempt: s.g.plan.execution.Attempt, Definition: definition, Input: s.g.input, def: s.g.def, plan: s.g.plan,
		})
	}
}

// mayClaimEagerly reports whether nothing that waits in the outbox comes before a task that has become ready.
func (t *exchange) mayClaimEagerly(task tasks.Task) bool {
	if bound, ok := t.EagerMinPriorities[task.Handler]; ok {
		return task.Priority <= bound
	}
	return task.Priority <= t.EagerMinPriority
}

func (t *exchange) result() ExchangeResult {
	r := ExchangeResult{Conflicts: make([]error, len(t.Outcomes)), Claims: t.claims, FromOutbox: t.fromOutbox, PollFilter: t.pollFilter, Expired: t.Filter.Limit > 0 && !t.leased}
	for i, o := range t.Outcomes {
		if t.conflicts[o] {
			r.Conflicts[i] = tasks.ErrClaimLost
		}
	}
	for i := range r.Claims {
		r.Claims[i].plan = nil // it has served
	}
	return r
}

// becameReady reports a task that becomes ready in this plan for the first time, and so is due.
func (n *node) becameReady() bool {
	return n.change != nil && n.task.Status == tasks.Ready && n.change.Steps[len(n.change.Steps)-1].Transition.Name == tasks.TransitionMarkReady.Name
}

// completed gives a task that completes in the plan; nil if it does not, or there is no plan.
func (p *plan) completed(name string) *node {
	if p == nil {
		return nil
	}
	if n, ok := p.nodes[name]; ok && n.change != nil && n.task.Status == tasks.Completed {
		return n
	}
	return nil
}
