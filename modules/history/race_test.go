package history_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestThePastOfARace runs two workers on the same runs while control requests arrive, so that transactions wait for
// each other and end in another order than they begin. At every event the state must be one that was committed: it
// keeps the invariants about counters and ends, and the last one equals the rows.
func TestThePastOfARace(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(testing.TB) string{
		"sqlite":   dbtest.SQLiteURL,
		"postgres": dbtest.PostgresURL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := url(t)
			handler := &enginetest.Scripted{}
			s, other := enginetest.New(t, dbtest.Open(t, at), handler), enginetest.New(t, dbtest.Open(t, at), handler)
			t.Cleanup(func() { audittest.Check(t, s.DB) })
			config := workers.Config{Slots: 6, Poll: 20 * time.Millisecond, Drain: 20 * time.Second}
			stop, stopOther := s.Work(t, t.Context(), config), other.Work(t, t.Context(), config)
			var ids []dbtype.ID
			for n := range 4 {
				ids = append(ids, s.Start(t, t.Context(), raceDefinition(t, s, n), ""))
			}
			var orders sync.WaitGroup
			for i, id := range ids {
				orders.Go(func() { disturb(t, []*enginetest.Stack{s, other}[i%2], id, uint64(i)) })
			}
			orders.Wait()
			for _, id := range ids {
				s.Wait(t, t.Context(), id)
			}
			stop()
			stopOther()
			for _, id := range ids {
				checkPast(t, s, id)
			}
		})
	}
}

// raceDefinition has three layers of tasks. Each task needs all tasks of the layer before.
func raceDefinition(t *testing.T, s *enginetest.Stack, n int) *definition.Definition {
	t.Helper()
	scripts := []string{`["ok"]`, `["error", "ok"]`, `["defer", "ok"]`, `["ok"]`, `["error", "error", "ok"]`, `["ok"]`}
	var list []definition.Task
	var before []string
	for layer := range 3 {
		var names []string
		for i, script := range scripts {
			x := definition.Task{
				ID: fmt.Sprintf("t%d%d", layer, i), Uses: "scripted",
				With: []byte(`{"do": ` + script + `}`), Needs: before,
			}
			x.Retry = tasks.RetryPolicy{MaxAttempts: 2, Backoff: tasks.Fixed, Delay: time.Millisecond}
			if layer > 0 {
				x.TriggerRule = definition.AllDone
			}
			list, names = append(list, x), append(names, x.ID)
		}
		before = names
	}
	return s.Define(t, fmt.Sprint("race", n), list...)
}

// disturb sends control requests until the run has finally ended.
func disturb(t *testing.T, s *enginetest.Stack, id dbtype.ID, seed uint64) {
	rng, o := rand.New(rand.NewPCG(seed, 5)), engine.ControlRequest{ID: id, Actor: "operator"}
	for range 12 {
		var err error
		switch rng.IntN(5) {
		case 0, 1:
			err = s.Engine.Pause(t.Context(), o)
		case 2:
			err = s.Engine.Cancel(t.Context(), o)
		case 3:
			err = s.Engine.Retry(t.Context(), o, "")
		}
		err = errors.Join(err,
			s.Engine.Annotate(t.Context(), engine.Annotation{PipelineExecutionID: id, Data: dbtype.JSON(`{}`)}))
		if err = errors.Join(err, ignoring(s.Engine.Resume(t.Context(), o))); err != nil &&
			!errors.Is(err, pipelines.ErrInvalidState) {
			t.Error(err)
		}
	}
	if err := ignoring(s.Engine.Retry(t.Context(), o, "")); err != nil {
		t.Error(err)
	}
}

func ignoring(err error) error {
	if errors.Is(err, pipelines.ErrInvalidState) {
		return nil
	}
	return err
}

func checkPast(t *testing.T, s *enginetest.Stack, id dbtype.ID) {
	t.Helper()
	x, rows, _, _ := read(t, s, id)
	list, err := s.Events.ListByPipeline(t.Context(), id, eventstore.Page{})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := history.New(list)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range list {
		cut, err := whole.AtEvent(e.SequenceNum)
		if err != nil {
			t.Fatal(err)
		}
		state, err := cut.Fold().State()
		if err != nil {
			t.Fatal(err)
		}
		where := fmt.Sprintf("event %d of %d", i+1, len(list))
		if ended := state.Execution.OpenTasks == 0; ended != state.Execution.Status.Terminal() {
			t.Errorf("%s: %s with %d open tasks", where, state.Execution.Status, state.Execution.OpenTasks)
		}
		for _, task := range state.Tasks {
			if task.Status == tasks.NotStarted && task.RemainingDependencies == 0 || task.Status == tasks.Ready &&
				task.RemainingDependencies > 0 {
				t.Errorf("%s: task %s is %s with %d dependencies left", where, task.TaskName, task.Status,
					task.RemainingDependencies)
			}
		}
		checkTimes(t, cut, where)
	}
	state, err := history.Fold(list).State()
	if err != nil {
		t.Fatal(err)
	}
	state.Complete(x, rows)
	if diff := cmp.Diff(history.State{Execution: x, Tasks: rows, Outbox: []history.Claimable{}}, state); diff != "" {
		t.Errorf("the end (-rows +history):\n%s", diff)
	}
}

// checkTimes checks that times never decrease, although transactions that had to wait have the time at which they
// began.
func checkTimes(t *testing.T, log *history.Log, where string) {
	t.Helper()
	last, _ := log.Last()
	line, err := log.Fold().Timeline(last)
	if err != nil {
		t.Fatal(err)
	}
	all := time.Duration(0)
	for _, row := range line.Rows {
		for i, s := range row.Segments {
			if s.To.Before(s.From.Time) || i > 0 && !s.From.Equal(row.Segments[i-1].To.Time) {
				t.Errorf("%s: task %s: %+v", where, row.TaskName, row.Segments)
			}
			all += s.Duration()
		}
	}
	checkCritical(t, line, all, where)
}
