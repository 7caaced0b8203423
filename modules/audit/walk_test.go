package audit_test

import (
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
		n := 0
		ctx := t.Context()
		rapid.Check(t, func(rt *rapid.T) {
			n++
			rules := append(definition.Rules(), "all_success", "all_success")
			list := make([]definition.Task, rapid.IntRange(1, 6).Draw(rt, "tasks"))
			for i := range list {
				list[i].ID = fmt.Sprint("t", i)
				list[i].Uses = "scripted"
				list[i].Retry = tasks.RetryPolicy{MaxAttempts: rapid.IntRange(1, 3).
					Draw(rt, "max"), Backoff: tasks.Fixed, Delay: 1}
				for j := range i {
					if rapid.IntRange(0, 2).Draw(rt, "edge") == 0 {
						list[i].Needs = append(list[i].Needs, fmt.Sprint("t", j))
					}
				}
				if list[i].Needs != nil {
					list[i].ContinueOnError = rapid.IntRange(0, 3).Draw(rt, "continues") == 0
					list[i].TriggerRule = rapid.SampledFrom(rules).Draw(rt, "rule")
				}
				if rapid.IntRange(0, 8).Draw(rt, "if") == 0 {
					list[i].If = "false"
				}
			}
			def := s.Define(t, fmt.Sprint("p", n), list...)
			id := s.Start(t, ctx, def, "")
			var held []pipelines.Claim
			check := func(what string) {
				r, err := audit.New(s.DB).Verify(ctx, audit.Options{IDs: []dbtype.ID{id}})
				if err != nil {
					rt.Fatal(err)
				}
				if !r.OK() {
					rt.Fatalf("after %s:\n%s", what, r)
				}
			}
			check("start")
			for i := range rapid.IntRange(1, 40).Draw(rt, "steps") {
				op := rapid.SampledFrom([]string{
					"claim", "claim", "finish", "finish", "finish", "pause", "resume",
					"resume", "cancel", "retry", "retryfrom", "recover", "annotate",
				}).Draw(rt, "op")
				var err error
				order := engine.ControlRequest{ID: id, Reason: "r", Actor: "a"}
				switch op {
				case "claim":
					w := fmt.Sprintf("w%d-%d", n, i)
					ex, e := s.Leases.Register(ctx, leases.Worker{ID: w}, time.Hour)
					if e != nil {
						rt.Fatal(e)
					}
					var c []pipelines.Claim
					c, err = s.Engine.Claim(ctx,
						engine.ClaimRequest{
							Worker: w, LeaseExpiresAt: ex,
							Want: outbox.ClaimFilter{Handlers: []string{"scripted"}, Limit: rapid.IntRange(1, 3).
								Draw(rt, "limit"), PipelineExecutionID: id},
						})
					held = append(held, c...)
					if rapid.IntRange(0, 3).Draw(rt, "dead") == 0 {
						err = errors.Join(err, s.DB.Transaction(ctx, func(tx db.Tx) error {
							_, err := tx.Exec(`UPDATE {workers} SET lease_expires_at = $past WHERE id = $id`,
								db.Args{"id": w, "past": dbtype.NewTime(tx.Now.Add(-time.Second))})
							return err
						}))
					}
				case "finish":
					if len(held) == 0 {
						continue
					}
					k := rapid.IntRange(0, len(held)-1).Draw(rt, "which")
					o := &pipelines.Outcome{
						Claim: &held[k],
						Kind:  pipelines.OutcomeKind(rapid.IntRange(0, 3).Draw(rt, "kind")), ErrorKind: tasks.KindError,
						Error: "boom", Until: dbtype.NewTime(time.Now()), Reason: "why",
					}
					if o.Kind == pipelines.OutcomeSucceeded {
						o.Output = dbtype.JSON(`{"a":1}`)
						o.Error = ""
					}
					_, err = s.Engine.RecordOutcomes(ctx, string(held[k].Task.WorkerID), []*pipelines.Outcome{o})
					if rapid.Bool().Draw(rt, "keep") {
						held = append(held[:k:k], held[k+1:]...)
					}
				case "pause":
					err = s.Engine.Pause(ctx, order)
				case "resume":
					err = s.Engine.Resume(ctx, order)
				case "cancel":
					if rapid.IntRange(0, 3).Draw(rt, "really") == 0 {
						err = s.Engine.Cancel(ctx, order)
					}
				case "retry":
					err = s.Engine.Retry(ctx, order, "")
				case "retryfrom":
					err = s.Engine.Retry(ctx, order, list[0].ID)
				case "recover":
					_, err = s.Engine.Recover(ctx)
				case "annotate":
				}
				if err != nil && !errors.Is(err, pipelines.ErrInvalidState) && !errors.Is(err, tasks.ErrClaimLost) {
					rt.Fatalf("%s: %v", op, err)
				}
				check(op)
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
