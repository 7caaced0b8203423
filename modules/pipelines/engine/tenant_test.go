package engine_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestTenantIsolation: the same pipeline runs in two tenants and in the default one, by one engine over one database.
// Nobody sees another's executions, tasks, events or outbox rows, by listing or by id, nor claims, ends, pauses or
// removes them.
func TestTenantIsolation(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		names := []string{"acme", "globex", db.DefaultTenant}
		runs := map[string]*byHand{}
		for _, name := range names {
			runs[name] = inTenant(t, s, name)
		}
		for i, name := range names {
			own, other := runs[name], runs[names[(i+1)%len(names)]]
			strangers(t, own, other)
			alone(t, own)
		}
		for _, name := range names {
			h := runs[name]
			h.steps(func() error { return h.claim(10) },
				func() error { return h.finish("b", pipelines.OutcomeSucceeded) })
			if x, err := s.Pipelines.Get(h.ctx, h.id); err != nil || x.Status != pipelines.Completed {
				t.Errorf("tenant %s: the run is %s (%v)", name, x.Status, err)
			}
			audittest.CheckTenant(h.ctx, t, s.DB)
		}
		leaveOthersHistory(t, runs["acme"], runs["globex"])
	})
}

// inTenant starts the same pipeline in a tenant of its own.
func inTenant(t *testing.T, s *enginetest.Stack, name string) *byHand {
	t.Helper()
	h := newByHand(t, s, "same", work("a"), work("b", "a"))
	h.ctx, h.worker = db.WithTenant(t.Context(), name), "worker-of-"+name
	if name != db.DefaultTenant {
		h.steps(func() error { return s.DB.CreateTenant(h.ctx) })
	}
	h.steps(h.start)
	return h
}

// strangers: an id of another tenant is unknown here.
func strangers(t *testing.T, own, other *byHand) {
	t.Helper()
	task := taskNamed(t, other, "a").ID
	_, err := own.s.Pipelines.Get(own.ctx, other.id)
	_, taskErr := own.s.Tasks.Get(own.ctx, task)
	order := engine.ControlRequest{ID: other.id}
	note := engine.Annotation{PipelineExecutionID: other.id, Data: dbtype.JSON(`{}`)}
	for what, got := range map[string]error{
		"get": err, "pause": own.s.Engine.Pause(own.ctx, order), "resume": own.s.Engine.Resume(own.ctx, order),
		"cancel": own.s.Engine.Cancel(own.ctx, order), "retry": own.s.Engine.Retry(own.ctx, order, ""),
		"annotate": own.s.Engine.Annotate(own.ctx, note),
	} {
		if !errors.Is(got, pipelines.ErrExecutionNotFound) {
			t.Errorf("%s of another tenant's run: got %v, expected %v", what, got, pipelines.ErrExecutionNotFound)
		}
	}
	if !errors.Is(taskErr, tasks.ErrNotFound) {
		t.Errorf("another tenant's task: got %v, expected %v", taskErr, tasks.ErrNotFound)
	}
	byPipeline, err := own.s.Events.ListByPipeline(own.ctx, other.id, eventstore.Page{})
	byTask, taskErr := own.s.Events.ListByTask(own.ctx, task, eventstore.Page{})
	if err := errors.Join(err, taskErr); err != nil || len(byPipeline)+len(byTask) > 0 {
		t.Errorf("%d and %d events of another tenant are seen (%v)", len(byPipeline), len(byTask), err)
	}
}

// alone: what a tenant lists and claims is its own, and a claim leaves the others' outbox as it was.
func alone(t *testing.T, h *byHand) {
	t.Helper()
	all, err := h.s.Events.List(h.ctx, eventstore.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.PipelineExecutionID != h.id {
			t.Errorf("%s sees an event of %s", h.worker, e.PipelineExecutionID)
		}
	}
	rows, err := h.s.Outbox.ListPending(h.ctx, 0)
	if err != nil || len(rows) != 1 || rows[0].TaskExecutionID != taskNamed(t, h, "a").ID {
		t.Errorf("%s sees the outbox %v (%v), expected its own task a", h.worker, rows, err)
	}
	list, err := h.s.Pipelines.List(h.ctx, engine.Filter{PipelineName: "same"})
	if err != nil || len(list) != 1 || list[0].ID != h.id {
		t.Errorf("%s lists %v (%v), expected its own run", h.worker, list, err)
	}
	h.steps(func() error { return h.claim(10) })
	if len(h.held) != 1 || h.held["a"].Task.PipelineExecutionID != h.id {
		t.Errorf("%s claimed %v, expected its own task a", h.worker, h.held)
	}
	h.steps(func() error { return h.finish("a", pipelines.OutcomeSucceeded) })
}

// leaveOthersHistory: one tenant's retention takes nothing of another.
func leaveOthersHistory(t *testing.T, own, other *byHand) {
	t.Helper()
	read := func(ctx context.Context) []events.Event {
		list, err := own.s.Events.List(ctx, eventstore.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	before := read(other.ctx)
	if n, err := own.s.Retention.RemoveEvents(own.ctx, dbtype.NewTime(own.s.DB.Now().Add(1e9)), nil); err != nil ||
		n != 12 {
		t.Errorf("%d events were removed (%v), expected the tenant's own 12", n, err)
	}
	if len(read(own.ctx)) != 0 {
		t.Error("the tenant's events are still there")
	}
	if diff := cmp.Diff(before, read(other.ctx)); diff != "" {
		t.Errorf("another tenant's events changed (-before +after):\n%s", diff)
	}
}
