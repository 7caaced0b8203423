package audit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/audit"
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

// TestRandomWalks drives the real engine with random operations, and verifies every step.
func TestRandomWalks(t *testing.T) {
	enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
		ctx := t.Context()
		walks := 0
		rapid.Check(t, func(rt *rapid.T) {
			walks++
			def := s.Define(t, fmt.Sprint("p", walks), randomTasks(rt)...)
			w := &walk{Stack: s, number: walks, def: def, id: s.Start(t, ctx, def, "")}
			w.verify(ctx, rt, "start")
			for range rapid.IntRange(1, 40).Draw(rt, "steps") {
				name := rapid.SampledFrom(walkSteps).Draw(rt, "op")
				err := w.step(ctx, rt, name)
				if err != nil && !errors.Is(err, pipelines.ErrInvalidState) && !errors.Is(err, tasks.ErrClaimLost) {
					rt.Fatalf("%s: %v", name, err)
				}
				w.verify(ctx, rt, name)
			}
		})
		if _, err := s.Retention.RemoveEvents(ctx, dbtype.NewTime(s.DB.Now().Add(time.Hour)),
			func(int64) {}); err != nil {
			t.Fatal(err)
		}
		r, err := audit.New(s.DB).Verify(ctx, audit.Options{})
		if err != nil || !r.OK() {
			t.Fatalf("after the removal of all events: %v\n%s", err, r.Summary())
		}
	})
}

// randomTasks returns up to six tasks with random dependencies, trigger rules and retries.
func randomTasks(rt *rapid.T) []definition.Task {
	rules := append(definition.Rules(), "all_success", "all_success")
	list := make([]definition.Task, rapid.IntRange(1, 6).Draw(rt, "tasks"))
	for i := range list {
		task := &list[i]
		task.ID, task.Uses = fmt.Sprint("t", i), "scripted"
		task.Retry = tasks.RetryPolicy{
			MaxAttempts: rapid.IntRange(1, 3).Draw(rt, "max"), Backoff: tasks.Fixed, Delay: 1,
		}
		for j := range i {
			if oneIn(rt, 3, "edge") {
				task.Needs = append(task.Needs, fmt.Sprint("t", j))
			}
		}
		if task.Needs != nil {
			task.ContinueOnError = oneIn(rt, 4, "continues")
			task.TriggerRule = rapid.SampledFrom(rules).Draw(rt, "rule")
		}
		if oneIn(rt, 9, "if") {
			task.If = "false"
		}
	}
	return list
}

func oneIn(rt *rapid.T, n int, label string) bool { return rapid.IntRange(0, n-1).Draw(rt, label) == 0 }

// walk is one run of the engine under random operations.
type walk struct {
	*enginetest.Stack
	number  int
	def     *definition.Definition
	id      dbtype.ID
	workers int               // that have claimed
	held    []pipelines.Claim // some of them lost, and some recorded before
}

// walkSteps are the names of the operations, the frequent ones more than once.
var walkSteps = []string{
	"claim", "claim", "finish", "finish", "finish", "pause", "resume", "resume", "cancel", "retry", "retry from",
	"recover", "annotate",
}

func (w *walk) step(ctx context.Context, rt *rapid.T, name string) error {
	control := engine.ControlRequest{ID: w.id, Reason: "r", Actor: "a"}
	switch name {
	case "claim":
		return w.claim(ctx, rt)
	case "finish":
		return w.finish(ctx, rt)
	case "pause":
		return w.Engine.Pause(ctx, control)
	case "resume":
		return w.Engine.Resume(ctx, control)
	case "cancel":
		if oneIn(rt, 4, "really") {
			return w.Engine.Cancel(ctx, control)
		}
		return nil
	case "retry":
		return w.Engine.Retry(ctx, control, "")
	case "retry from":
		return w.Engine.Retry(ctx, control, w.def.Tasks[0].ID)
	case "recover":
		_, err := w.Engine.Recover(ctx)
		return err
	default:
		return w.Engine.Annotate(ctx, engine.Annotation{
			PipelineExecutionID: w.id, Data: dbtype.JSON(`{"n": 1}`), Actor: "a",
		})
	}
}

// claim claims up to three tasks for a new worker, whose lease expires at once now and then.
func (w *walk) claim(ctx context.Context, rt *rapid.T) error {
	w.workers++
	worker := fmt.Sprintf("w%d-%d", w.number, w.workers)
	expires, err := w.Leases.Register(ctx, leases.Worker{ID: worker}, time.Hour)
	if err != nil {
		rt.Fatal(err)
	}
	claims, err := w.Engine.Claim(ctx, engine.ClaimRequest{
		Worker: worker, LeaseExpiresAt: expires,
		Want: outbox.ClaimFilter{
			Handlers: []string{"scripted"}, Limit: rapid.IntRange(1, 3).Draw(rt, "limit"), PipelineExecutionID: w.id,
		},
	})
	w.held = append(w.held, claims...)
	if !oneIn(rt, 4, "dead") {
		return err
	}
	return errors.Join(err, w.DB.Transaction(ctx, func(tx db.Tx) error {
		_, err := tx.Exec(`UPDATE {workers} SET lease_expires_at = $past WHERE id = $id`,
			db.Args{"id": worker, "past": dbtype.NewTime(tx.Now.Add(-time.Second))})
		return err
	}))
}

// finish records an outcome of one of the claims, which stays there to be recorded again now and then.
func (w *walk) finish(ctx context.Context, rt *rapid.T) error {
	if len(w.held) == 0 {
		return nil
	}
	k := rapid.IntRange(0, len(w.held)-1).Draw(rt, "which")
	o := &pipelines.Outcome{
		Claim: &w.held[k], Kind: pipelines.OutcomeKind(rapid.IntRange(0, 3).Draw(rt, "kind")),
		ErrorKind: tasks.KindError, Error: "boom", Until: dbtype.NewTime(time.Now()), Reason: "why",
	}
	if o.Kind == pipelines.OutcomeSucceeded {
		o.Output, o.Error = dbtype.JSON(`{"a":1}`), ""
	}
	_, err := w.Engine.RecordOutcomes(ctx, string(w.held[k].Task.WorkerID), []*pipelines.Outcome{o})
	if rapid.Bool().Draw(rt, "drop") {
		w.held = append(w.held[:k:k], w.held[k+1:]...)
	}
	return err
}

func (w *walk) verify(ctx context.Context, rt *rapid.T, after string) {
	r, err := audit.New(w.DB).Verify(ctx, audit.Options{IDs: []dbtype.ID{w.id}})
	if err != nil {
		rt.Fatal(err)
	}
	if !r.OK() {
		rt.Fatalf("after %s:\n%s", after, r)
	}
}
