package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// byHand is one run whose workers are the test: it claims, and says how each task comes out. Nothing moves between two
// calls.
type byHand struct {
	t      *testing.T
	ctx    context.Context
	s      *enginetest.Stack
	def    *definition.Definition
	id     dbtype.ID
	only   dbtype.ID // claim tasks of this run alone; zero: of any
	worker string
	hired  int
	listed string                      // the worker that is registered
	held   map[string]*pipelines.Claim // by task name, newest claim
}

// newByHand checks a definition of its own: a table's tasks serve several tests at once.
func newByHand(t *testing.T, s *enginetest.Stack, name string, list ...definition.Task) *byHand {
	t.Helper()
	return &byHand{t: t, ctx: t.Context(), s: s, def: s.Define(t, name, slices.Clone(list)...), worker: "worker-" +
		dbtype.NewID().String(), held: map[string]*pipelines.Claim{}}
}

// works are so many tasks side by side.
func works(n int) []definition.Task {
	list := make([]definition.Task, n)
	for i := range list {
		list[i] = work(fmt.Sprintf("t%03d", i))
	}
	return list
}

// work is a task of the scripted handler. It may fail once, and its retry is due at once.
func work(id string, needs ...string) definition.Task {
	return definition.Task{
		ID: id, Needs: needs, Uses: "scripted",
		Retry: tasks.RetryPolicy{MaxAttempts: 2, Backoff: tasks.Fixed, Delay: time.Nanosecond},
	}
}

func withRule(t definition.Task, r definition.TriggerRule) definition.Task {
	t.TriggerRule = r
	return t
}

func withCondition(t definition.Task, c string) definition.Task { t.If = c; return t }

func (h *byHand) start() error {
	started, err := h.s.Engine.Start(h.ctx, []engine.StartRequest{{Definition: h.def, Actor: "starter"}})
	if err == nil {
		h.id = started[0].ID
	}
	return err
}

// hire has another worker claim from now on.
func (h *byHand) hire() error {
	h.hired++
	h.worker = fmt.Sprintf("worker-%d", h.hired)
	return h.enlist()
}

// enlist registers the worker, if it is not.
func (h *byHand) enlist() error {
	if h.listed == h.worker {
		return nil
	}
	h.listed = h.worker
	return enlist(h.ctx, h.s, h.worker)
}

func enlist(ctx context.Context, s *enginetest.Stack, worker string) error {
	_, err := s.Leases.Register(ctx, leases.Worker{ID: worker, Hostname: "here", Slots: 1}, time.Hour)
	return err
}

// claim takes at most limit due tasks.
func (h *byHand) claim(limit int) error {
	if err := h.enlist(); err != nil {
		return err
	}
	claims, err := h.s.Engine.Claim(h.ctx, engine.ClaimRequest{
		Worker: h.worker, LeaseExpiresAt: dbtype.NewTime(h.s.DB.Now().Add(time.Minute)),
		Want: outbox.ClaimFilter{Handlers: h.s.Handlers.Names(), Limit: limit, PipelineExecutionID: h.only},
	})
	for i := range claims {
		h.held[claims[i].Task.TaskName] = &claims[i]
	}
	return err
}

// outcome is how a held task comes out; the zero Outcome of a kind is filled in.
func (h *byHand) outcome(task string, kind pipelines.OutcomeKind) *pipelines.Outcome {
	h.t.Helper()
	claim := h.held[task]
	if claim == nil {
		h.t.Fatalf("task %s is not held", task)
	}
	o := &pipelines.Outcome{Claim: claim, Kind: kind}
	switch kind {
	case pipelines.OutcomeSucceeded:
		o.Output = dbtype.JSON(fmt.Sprintf(`{"by": %q}`, task))
	case pipelines.OutcomeFailed:
		o.ErrorKind, o.Error = tasks.KindError, fmt.Sprintf("attempt %d of %s fails", claim.Task.Attempt, task)
	case pipelines.OutcomeDeferred:
		o.Until, o.Reason = dbtype.NewTime(h.s.DB.Now()), "not yet"
	case pipelines.OutcomeReleased:
		o.Reason = "the worker is stopping"
	}
	return o
}

// finish records the outcome of a held task. A lost claim is an error here.
func (h *byHand) finish(task string, kind pipelines.OutcomeKind) error {
	h.t.Helper()
	o := h.outcome(task, kind)
	if kind == pipelines.OutcomeSkipped {
		o.Exit = new(int)
	}
	return h.record(o)
}

func (h *byHand) record(list ...*pipelines.Outcome) error {
	lost, err := h.s.Engine.RecordOutcomes(h.ctx, h.worker, list)
	if err != nil {
		return err
	}
	return errors.Join(lost...)
}

// breaks records a failure that no attempt can mend.
func (h *byHand) breaks(task string) error {
	h.t.Helper()
	o := h.outcome(task, pipelines.OutcomeFailed)
	o.ErrorKind = tasks.KindPermanent
	return h.record(o)
}

// lose claims the due tasks for a worker that is not heard of again.
func (h *byHand) lose() error {
	if err := errors.Join(h.hire(), h.claim(10)); err != nil {
		return err
	}
	return h.s.DB.Transaction(h.ctx, func(tx db.Tx) error {
		_, err := tx.Exec(`UPDATE {workers} SET lease_expires_at = $now WHERE id = $id`,
			db.Args{"id": h.worker, "now": tx.Now})
		return err
	})
}

// recover takes lost tasks back. A recovery that has failed is tried again at once, and as often as it is asked for.
func (h *byHand) recover() error {
	err := h.s.DB.Transaction(h.ctx, func(tx db.Tx) error {
		_, err := tx.Exec(`UPDATE {recoveries} SET attempts = 0, next_at = $now`, db.Args{"now": tx.Now})
		return err
	})
	if err != nil {
		return err
	}
	_, err = h.s.Engine.Recover(h.ctx)
	return err
}

func (h *byHand) order() engine.ControlRequest {
	return engine.ControlRequest{ID: h.id, Reason: "because", Actor: "operator"}
}

func (h *byHand) pause() error  { return h.s.Engine.Pause(h.ctx, h.order()) }
func (h *byHand) resume() error { return h.s.Engine.Resume(h.ctx, h.order()) }
func (h *byHand) cancel() error { return h.s.Engine.Cancel(h.ctx, h.order()) }
func (h *byHand) retry() error  { return h.s.Engine.Retry(h.ctx, h.order(), "") }

func retryFrom(task string) func(h *byHand) error {
	return func(h *byHand) error { return h.s.Engine.Retry(h.ctx, h.order(), task) }
}

// steps runs until one step fails, which fails the test.
func (h *byHand) steps(list ...func() error) {
	h.t.Helper()
	for i, step := range list {
		if err := step(); err != nil {
			h.t.Fatalf("step %d: %v", i+1, err)
		}
	}
}

// The steps of a run as values, for tables.
func claims(limit int) func(h *byHand) error { return func(h *byHand) error { return h.claim(limit) } }

func ends(task string, kind pipelines.OutcomeKind) func(h *byHand) error {
	return func(h *byHand) error { return h.finish(task, kind) }
}

func breaks(task string) func(h *byHand) error {
	return func(h *byHand) error { return h.breaks(task) }
}

func inTurn(list ...func(h *byHand) error) func(h *byHand) error {
	return func(h *byHand) error {
		for i, step := range list {
			if err := step(h); err != nil {
				return fmt.Errorf("step %d: %w", i+1, err)
			}
		}
		return nil
	}
}
