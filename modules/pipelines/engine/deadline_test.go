package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// expire puts the deadline of the run into the past.
func (h *byHand) expire() error {
	return h.s.DB.Transaction(h.ctx, func(tx db.Tx) error {
		_, err := tx.Exec(`UPDATE {pipeline_executions} SET deadline_at = $at WHERE id = $id`,
			db.Args{"at": dbtype.NewTime(tx.Now.Add(-time.Second)), "id": h.id})
		return err
	})
}

// endOverdue looks for overdue runs and checks that the given ones are ended.
func (h *byHand) endOverdue(want ...dbtype.ID) (next dbtype.Time) {
	h.t.Helper()
	ended, next, err := h.s.Engine.EndOverdue(h.ctx)
	if err != nil || !slices.Equal(ended, want) {
		h.t.Fatalf("ended %v, %v, want %v", ended, err, want)
	}
	audittest.Check(h.t, h.s.DB)
	return next
}

func (h *byHand) execution() pipelines.Execution {
	h.t.Helper()
	x, err := h.s.Pipelines.Get(h.ctx, h.id)
	if err != nil {
		h.t.Fatal(err)
	}
	return x
}

// checkTimedOut checks an execution that its timeout has ended.
func (h *byHand) checkTimedOut() {
	h.t.Helper()
	const why = "pipeline timeout of 1h is over"
	x := h.execution()
	if x.Status != pipelines.Failed || x.Error != why || !x.DeadlineAt.IsZero() || !x.PausedAt.IsZero() ||
		x.OpenTasks != 0 {
		h.t.Fatalf("execution: %+v", x)
	}
	list, err := h.s.Tasks.ListByPipeline(h.ctx, h.id)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, task := range list {
		if task.Status != tasks.Abandoned || task.Error != why {
			h.t.Errorf("task %s is %s: %s", task.TaskName, task.Status, task.Error)
		}
	}
	if n, err := h.s.Outbox.CountPending(h.ctx); err != nil || n != 0 {
		h.t.Errorf("%d outbox rows, %v", n, err)
	}
}

// TestPipelineTimeout: a run past its deadline is ended whatever its tasks are at, what its handlers return is refused,
// and a retry has a new deadline.
func TestPipelineTimeout(t *testing.T) {
	for _, paused := range []bool{false, true} {
		t.Run(map[bool]string{false: "running", true: "paused"}[paused], func(t *testing.T) {
			enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
				h := newByHand(t, s, "limited", work("claimed"), work("ready"), work("later", "claimed"))
				h.def.Timeout = time.Hour
				h.steps(h.hire, h.start, func() error { return h.claim(1) })
				x := h.execution()
				if d := x.DeadlineAt.Sub(x.CreatedAt.Time); d != time.Hour {
					t.Fatalf("the deadline is %s after the start", d)
				}
				if next := h.endOverdue(); !next.Equal(x.DeadlineAt.Time) {
					t.Fatalf("the next deadline is %s, want %s", next, x.DeadlineAt)
				}
				if paused {
					h.steps(h.pause)
				}
				if after := h.execution(); !after.DeadlineAt.Equal(x.DeadlineAt.Time) {
					t.Fatalf("the deadline has moved to %s", after.DeadlineAt)
				}
				h.steps(h.expire)
				var late string
				for name := range h.held {
					late = name
				}
				claim := h.held[late]
				if next := h.endOverdue(h.id); !next.IsZero() {
					t.Errorf("another deadline: %s", next)
				}
				h.checkTimedOut()
				lost, err := s.Engine.RecordOutcomes(h.ctx, h.worker,
					[]*pipelines.Outcome{{Claim: claim, Kind: pipelines.OutcomeSucceeded}})
				if err != nil || len(lost) != 1 || lost[0] == nil ||
					!strings.Contains(lost[0].Error(), tasks.ErrClaimLost.Error()) {
					t.Errorf("a late outcome: %v, %v", lost, err)
				}
				h.endOverdue()
				if err := s.Engine.Retry(h.ctx, engine.ControlRequest{ID: h.id, Actor: "test"}, ""); err != nil {
					t.Fatal(err)
				}
				if again := h.execution(); !again.DeadlineAt.After(x.DeadlineAt.Time) ||
					again.Status != pipelines.Running {
					t.Errorf("after the retry: %+v", again)
				}
				h.endOverdue()
			})
		})
	}
}

// TestPipelineTimeoutEnds: a run that ends in time, or has no timeout, has no deadline left.
func TestPipelineTimeoutEnds(t *testing.T) {
	enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
		h := newByHand(t, s, "untimed", work("a"))
		h.steps(h.hire, h.start)
		if x := h.execution(); !x.DeadlineAt.IsZero() {
			t.Errorf("a deadline without a timeout: %s", x.DeadlineAt)
		}
		h.steps(func() error { return h.claim(1) }, func() error { return h.finish("a", pipelines.OutcomeSucceeded) })

		timed := newByHand(t, s, "timed", work("a"))
		timed.def.Timeout, timed.hired = time.Hour, h.hired
		timed.steps(timed.hire, timed.start, func() error { return timed.claim(1) },
			func() error { return timed.finish("a", pipelines.OutcomeSucceeded) })
		if x := timed.execution(); x.Status != pipelines.Completed || !x.DeadlineAt.IsZero() {
			t.Errorf("ended in time: %+v", x)
		}
		if next := timed.endOverdue(); !next.IsZero() {
			t.Errorf("a deadline is left: %s", next)
		}
	})
}
