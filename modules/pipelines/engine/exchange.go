package engine

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ExchangeRequest is what a worker sends in one exchange: the outcomes of tasks that have ended, and the tasks that it
// can claim.
type ExchangeRequest struct {
	Worker         string
	LeaseExpiresAt dbtype.Time // as of the worker's last renewal
	Outcomes       []*pipelines.Outcome
	// its Limit is the number of free slots, including those of the outcomes; 0: claim nothing
	Filter       outbox.ClaimFilter
	PollOutbox   bool     // claim due tasks from the outbox
	PollHandlers []string // the handlers to poll for; empty: those of Filter
	// EagerMax is the maximum number of eager claims: tasks that become ready in this transaction and are claimed in
	// it, ahead of the outbox. Only tasks of EagerMinPriority or a more urgent priority are claimed. These are levels,
	// so a task qualifies if its level is not higher. The caller must make sure that the outbox is polled too.
	EagerMax         int
	EagerMinPriority int
	// EagerMinPriorities overrides EagerMinPriority for single handlers.
	EagerMinPriorities map[string]int
}

// ExchangeResult is the result of an exchange.
type ExchangeResult struct {
	Conflicts []error           // one entry for each outcome; see Engine.RecordOutcomes
	Eager     []pipelines.Claim // of tasks that became ready in this transaction
	Polled    []pipelines.Claim // of tasks from the outbox, the most urgent first
	// MoreDue reports that the poll took as many tasks as it asked for, or that the eager claims left no slot for it.
	// Further tasks may then be due.
	MoreDue bool
	// Saturated has the handlers of which the poll took as many tasks as there was capacity for. Further tasks of these
	// handlers may be due, and may have hidden tasks of others from the poll.
	Saturated []string
	Expired   bool // the worker's lease has expired, so nothing was claimed
}

// Claims returns all claims: the eager ones, and then those from the outbox.
func (r *ExchangeResult) Claims() []*pipelines.Claim {
	all := make([]*pipelines.Claim, 0, len(r.Eager)+len(r.Polled))
	for _, list := range [][]pipelines.Claim{r.Eager, r.Polled} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	return all
}

// CompleteAndClaim records outcomes and claims tasks in one transaction, the exchange. If the worker's lease has
// expired, it still records the outcomes, but claims nothing.
//
// The first try assumes that the claims of the outcomes still hold. If a version conflict shows that one does not, the
// transaction is repeated and reads the rows. If the definition of an execution is missing, CompleteAndClaim abandons
// that execution and repeats the exchange.
func (e *Engine) CompleteAndClaim(ctx context.Context, r ExchangeRequest) (ExchangeResult, error) {
	for _, o := range r.Outcomes {
		o.Jitter = rand.Float64()
	}
	for trust := true; ; {
		var t *exchange
		err := e.db.Transaction(ctx, func(tx db.Tx) error {
			t = &exchange{
				ExchangeRequest: r, engine: e, tx: tx, optimistic: trust,
				locked: map[dbtype.ID]pipelines.Execution{}, conflicts: map[*pipelines.Outcome]bool{},
				missingDefinitions: map[dbtype.ID]error{}, plans: map[dbtype.ID]*pipelines.Plan{},
				stored: map[dbtype.ID]counts{},
			}
			if err := t.run(ctx); err != nil {
				return err
			}
			if len(t.missingDefinitions) > 0 {
				return pipelines.ErrDefinitionMissing // roll back; the executions are abandoned first
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
		if trust && (errors.Is(err, pipelines.ErrStalePlan) || errors.Is(err, tasks.ErrVersionConflict)) {
			trust = false // a claim may be lost: read the rows
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

// exchange is the state of an exchange in one transaction.
type exchange struct {
	ExchangeRequest
	engine *Engine
	tx     db.Tx

	optimistic         bool // assume that the claims of the outcomes still hold
	leased             bool // the worker's lease is valid
	locked             map[dbtype.ID]pipelines.Execution
	groups             []*executionOutcomes
	plans              map[dbtype.ID]*pipelines.Plan // by execution
	stored             map[dbtype.ID]counts          // by execution: the counters now stored in the row
	conflicts          map[*pipelines.Outcome]bool
	ready              int               // number of tasks that got an outbox row
	claims             []pipelines.Claim // the eager claims, and then those from the outbox
	eager              int               // number of eager claims
	claimChanges       []*tasks.Change   // changes of the claims from the outbox
	pendingClaim       *outbox.PendingClaim
	missingDefinitions map[dbtype.ID]error // executions with a missing definition, and the error
}

func (t *exchange) run(ctx context.Context) error {
	if err := t.read(); err != nil {
		return err
	}
	plans, err := t.plan(ctx)
	if err != nil {
		return err
	}
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
	b := t.tx.Batch()
	if t.ready, err = t.engine.write(b, plans, t.stored, t.claimChanges...); err != nil {
		return err
	}
	t.engine.tasks.WriteChunks(b, logs(t.Outcomes, t.conflicts))
	return b.SendAtCommit()
}

// read loads the rows that the outcomes affect, in one round trip. It locks the worker's row first and then the
// executions.
func (t *exchange) read() error {
	b, leased := t.tx.Batch(), new(bool)
	if t.Filter.Limit > 0 {
		leased = t.engine.leases.Check(b, t.Worker)
	}
	t.groups = groupByExecution(t.Outcomes)
	var names []tasks.Key
	byID := make(map[dbtype.ID]*executionOutcomes, len(t.groups))
	for _, g := range t.groups {
		byID[g.id] = g
		names = append(names, g.tasksToLoad(t.optimistic)...)
	}
	t.engine.pipelines.lockAndDecrement(b, t.groups, t.locked, t.stored)
	if len(t.groups) == 0 && t.Filter.Limit > 0 && t.PollOutbox {
		var err error // there are no eager claims, so the poll can join this round trip
		if t.pendingClaim, err = t.engine.outbox.Claim(b, t.remainingFilter()); err != nil {
			return err
		}
	}
	near := t.engine.tasks.LoadByKey(b, distinct(names))
	if err := b.Send(); err != nil {
		return err
	}
	t.leased = *leased
	if t.pendingClaim != nil && !t.leased {
		return leases.ErrExpired // roll back the claim from the outbox
	}
	for _, task := range *near {
		g := byID[task.PipelineExecutionID]
		g.loaded = append(g.loaded, task)
	}
	return nil
}

// claimEager claims tasks that became ready in this transaction, the most urgent first.
func (t *exchange) claimEager() {
	type successor struct {
		g    *executionOutcomes
		task tasks.Task
	}
	var found []successor
	for _, g := range t.groups {
		if g.plan == nil || g.def == nil || g.plan.Execution.Status != pipelines.Running ||
			!g.plan.Execution.ClaimableBy(t.Worker) {
			continue
		}
		for _, task := range g.plan.BecameReady() {
			if t.mayClaimEagerly(task) && t.Filter.Matches(taskstore.OutboxEntry(&task, t.tx.Now)) {
				found = append(found, successor{g, task})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b successor) int { return a.task.Priority - b.task.Priority })
	capacities, most := maps.Clone(t.Filter.Capacity), min(t.EagerMax, t.Filter.Limit)
	for _, s := range found {
		free, limited := capacities[s.task.Handler]
		if len(t.claims) == most {
			break
		}
		if limited {
			if free <= 0 {
				continue // it gets an outbox row instead
			}
			capacities[s.task.Handler]--
		}
		definition, _ := s.g.def.Task(s.task.TaskName)
		t.claims = append(t.claims, pipelines.Claim{
			Task: s.g.plan.Claim(s.task.TaskName, t.Worker, t.LeaseExpiresAt), Pipeline: s.g.def.Name,
			RunAttempt: s.g.plan.Execution.Attempt, Definition: definition, Input: s.g.input, Graph: s.g.def,
		})
	}
	t.eager = len(t.claims)
}

// planOf returns the plan of a claim's execution; an empty one if no outcome of the execution is recorded.
func (t *exchange) planOf(c *pipelines.Claim) *pipelines.Plan {
	if p := t.plans[c.Task.PipelineExecutionID]; p != nil {
		return p
	}
	return &pipelines.Plan{}
}

// mayClaimEagerly reports whether the task is at least as urgent as the minimum priority for eager claims.
func (t *exchange) mayClaimEagerly(task tasks.Task) bool {
	if bound, ok := t.EagerMinPriorities[task.Handler]; ok {
		return task.Priority <= bound
	}
	return task.Priority <= t.EagerMinPriority
}

func (t *exchange) result() ExchangeResult {
	r := ExchangeResult{
		Conflicts: make([]error, len(t.Outcomes)), Eager: t.claims[:t.eager:t.eager], Polled: t.claims[t.eager:],
		MoreDue: t.PollOutbox, Expired: t.Filter.Limit > 0 && !t.leased,
	}
	if t.pendingClaim != nil {
		r.MoreDue, r.Saturated = t.pendingClaim.Full(), t.pendingClaim.Saturated()
	}
	for i, o := range t.Outcomes {
		if t.conflicts[o] {
			r.Conflicts[i] = tasks.ErrClaimLost
		}
	}
	return r
}
