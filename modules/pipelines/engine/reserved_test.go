package engine_test

import (
	"errors"
	"testing"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// startReserved starts the run for the worker that is hired.
func (h *byHand) startReserved() error {
	started, err := h.s.Engine.Start(h.ctx, []engine.StartRequest{{Definition: h.def, ReservedFor: h.worker}})
	if err == nil {
		h.id, h.only = started[0].ID, started[0].ID
	}
	return err
}

// stranger is what another worker claims.
func (h *byHand) stranger() []pipelines.Claim {
	h.t.Helper()
	worker := "stranger-" + dbtype.NewID().String()
	if err := enlist(h.ctx, h.s, worker); err != nil {
		h.t.Fatal(err)
	}
	claims, err := h.s.Engine.Claim(h.ctx, engine.ClaimRequest{
		Worker: worker, LeaseExpiresAt: dbtype.NewTime(h.s.DB.Now()),
		Want: outbox.ClaimFilter{Handlers: h.s.Handlers.Names(), Limit: 100},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return claims
}

// TestReservedRun: whatever makes a task of a reserved run Ready, no other worker claims it, until the worker's row is
// removed.
func TestReservedRun(t *testing.T) {
	enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
		h := newByHand(t, s, "reserved", work("root"), work("next", "root"), work("late", "next"))
		nobodysBut := func(what string) {
			t.Helper()
			if claims := h.stranger(); len(claims) > 0 {
				t.Fatalf("after %s another worker has claimed %s", what, claims[0].Task.TaskName)
			}
			audittest.Check(t, s.DB)
		}
		if err := h.startReserved(); !errors.Is(err, leases.ErrExpired) {
			t.Fatalf("a run for a worker that nobody knows: %v", err)
		}
		h.steps(h.hire, h.startReserved)
		nobodysBut("the start")
		h.steps(h.pause, h.resume)
		nobodysBut("a pause")
		for _, kind := range []pipelines.OutcomeKind{
			pipelines.OutcomeFailed, pipelines.OutcomeDeferred,
			pipelines.OutcomeReleased,
		} {
			if err := errors.Join(h.claim(1), h.finish("root", kind)); err != nil {
				t.Fatal(err)
			}
			nobodysBut("an outcome")
		}
		if err := errors.Join(h.claim(1), h.finish("root", pipelines.OutcomeSucceeded)); err != nil {
			t.Fatal(err)
		}
		nobodysBut("a success")
		if err := s.Engine.Deregister(h.ctx, h.worker); err != nil {
			t.Fatal(err)
		}
		audittest.Check(t, s.DB)
		if x, err := s.Pipelines.Get(h.ctx, h.id); err != nil || x.ReservedFor != "" {
			t.Fatalf("after the worker has gone: reserved for %q, %v", x.ReservedFor, err)
		}
		if claims := h.stranger(); len(claims) != 1 || claims[0].Task.TaskName != "next" {
			t.Fatalf("after the worker has gone another one claims %v", claims)
		}
	})
}

// TestReservedRunIsRecovered: when the worker's lease has expired, the run's tasks are anybody's, those that it held
// and those that waited.
func TestReservedRunIsRecovered(t *testing.T) {
	enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
		h := newByHand(t, s, "lost", work("a"), work("b"), work("c"))
		h.steps(h.hire, h.startReserved, func() error { return h.claim(1) })
		err := s.DB.Transaction(h.ctx, func(tx db.Tx) error {
			_, err := tx.Exec(`UPDATE {workers} SET lease_expires_at = $now WHERE id = $id`,
				db.Args{"id": h.worker, "now": tx.Now})
			return err
		})
		if err := errors.Join(err, h.recover()); err != nil {
			t.Fatal(err)
		}
		audittest.Check(t, s.DB)
		if claims := h.stranger(); len(claims) != 3 {
			t.Fatalf("another worker claims %d tasks, want all 3", len(claims))
		}
	})
}

// TestReservationEndsWithTheRun: an execution that has ended is nobody's, and a retry is for any worker.
func TestReservationEndsWithTheRun(t *testing.T) {
	enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
		h := newByHand(t, s, "ended", work("a"))
		h.steps(h.hire, h.startReserved, func() error { return h.claim(1) }, func() error { return h.breaks("a") })
		if x, err := s.Pipelines.Get(h.ctx, h.id); err != nil || x.ReservedFor != "" {
			t.Fatalf("ended: reserved for %q, %v", x.ReservedFor, err)
		}
		h.steps(h.retry)
		audittest.Check(t, s.DB)
		if claims := h.stranger(); len(claims) != 1 {
			t.Fatalf("another worker claims %d tasks, want 1", len(claims))
		}
	})
}
