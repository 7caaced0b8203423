package history_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// runs is the number of random runs on each database.
const runs = 60

// TestThePastIsWhatARecorderSaw checks, at every event of random runs, that time travel returns the rows and the
// outbox that existed right after the event was committed.
func TestThePastIsWhatARecorderSaw(t *testing.T) {
	enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
		seen, compared := map[events.Type]int{}, 0
		for n := range runs {
			rt := rand.New(rand.NewPCG(uint64(n), 9))
			r := newRecorder(t, s, rt, n)
			for range between(rt, 10, 40) {
				r.step(rt)
			}
			compared += r.compare(t, seen)
			if t.Failed() {
				return
			}
		}
		t.Logf("compared at %d events: %v", compared, seen)
		for _, kind := range events.Types() {
			if seen[kind] == 0 {
				t.Errorf("no run had a %s", kind)
			}
		}
	})
}

// between returns a number from least to most.
func between(rt *rand.Rand, least, most int) int { return least + rt.IntN(most-least+1) }

func pick[T any](rt *rand.Rand, list []T) T { return list[rt.IntN(len(list))] }

// recorder drives one run and records the rows after each transaction.
type recorder struct {
	t     *testing.T
	s     *enginetest.Stack
	id    dbtype.ID
	first string // a task's name
	held  []pipelines.Claim
	kept  []snapshot
	n     int
}

// snapshot is the rows after a transaction, and the number of events at that time.
type snapshot struct {
	after  string
	state  history.State
	events int
}

func newRecorder(t *testing.T, s *enginetest.Stack, rt *rand.Rand, n int) *recorder {
	t.Helper()
	rules := append(definition.Rules(), "all_success", "all_success")
	list := make([]definition.Task, between(rt, 1, 6))
	for i := range list {
		list[i] = definition.Task{
			ID: fmt.Sprint("t", i), Uses: "scripted",
			Queue: pick(rt, []string{"default", "other"}),
		}
		list[i].Priority = pick(rt, tasks.Priorities())
		delay := pick(rt, []time.Duration{1, 1, time.Hour})
		list[i].Retry = tasks.RetryPolicy{MaxAttempts: between(rt, 1, 3), Backoff: tasks.Fixed, Delay: delay}
		for j := range i {
			if between(rt, 0, 2) == 0 {
				list[i].Needs = append(list[i].Needs, fmt.Sprint("t", j))
			}
		}
		if list[i].Needs != nil {
			list[i].TriggerRule = pick(rt, rules)
		}
		if between(rt, 0, 8) == 0 {
			list[i].If = "false"
		}
	}
	r := &recorder{t: t, s: s, first: "t0", n: n}
	r.id = s.Start(t, t.Context(), s.Define(t, fmt.Sprint("p", n), list...), "")
	r.record("start")
	return r
}

// step performs one operation, in one transaction, which may be refused.
func (r *recorder) step(rt *rand.Rand) {
	op := pick(rt, []string{
		"claim", "claim", "claim", "finish", "finish", "finish", "finish", "pause", "resume", "resume", "cancel",
		"retry", "retry from", "lose", "annotate",
	})
	ctx, order := r.t.Context(), engine.ControlRequest{ID: r.id, Reason: "why", Actor: "operator"}
	var err error
	switch op {
	case "claim":
		r.claim(rt)
	case "finish":
		r.finish(rt)
	case "pause":
		err = r.s.Engine.Pause(ctx, order)
	case "resume":
		err = r.s.Engine.Resume(ctx, order)
	case "cancel":
		if between(rt, 0, 2) == 0 {
			err = r.s.Engine.Cancel(ctx, order)
		}
	case "retry":
		err = r.s.Engine.Retry(ctx, order, "")
	case "retry from":
		err = r.s.Engine.Retry(ctx, order, r.first)
	case "lose":
		r.lose(rt)
	case "annotate":
		err = r.s.Engine.Annotate(ctx,
			engine.Annotation{PipelineExecutionID: r.id, Data: dbtype.JSON(`{"note": "seen"}`)})
	}
	if err != nil && !errors.Is(err, pipelines.ErrInvalidState) {
		r.t.Fatalf("%s: %v", op, err)
	}
	r.record(op)
}

func (r *recorder) claim(rt *rand.Rand) {
	ctx := r.t.Context()
	worker := fmt.Sprintf("w%d-%d", r.n, len(r.kept))
	expires, err := r.s.Leases.Register(ctx, leases.Worker{ID: worker}, time.Hour)
	if err != nil {
		r.t.Fatal(err)
	}
	claims, err := r.s.Engine.Claim(ctx,
		engine.ClaimRequest{Worker: worker, LeaseExpiresAt: expires, Want: outbox.ClaimFilter{
			Handlers: []string{"scripted"}, Queues: []string{"default", "other"}, Limit: between(rt, 1, 3),
			PipelineExecutionID: r.id,
		}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.held = append(r.held, claims...)
}

// finish reports results of one or two claims of the same worker, which may have lost them.
func (r *recorder) finish(rt *rand.Rand) {
	if len(r.held) == 0 {
		return
	}
	k := between(rt, 0, len(r.held)-1)
	worker := r.held[k].Task.WorkerID
	var group []*pipelines.Outcome
	both := between(rt, 0, 1) == 0
	for i := range r.held {
		if r.held[i].Task.WorkerID != worker || i != k && !both {
			continue
		}
		claim := r.held[i]
		o := &pipelines.Outcome{
			Claim: &claim, ErrorKind: tasks.KindError, Error: "boom",
			Until: dbtype.NewTime(r.s.DB.Now()), Reason: "why",
		}
		o.Kind = pick(rt, []pipelines.OutcomeKind{
			pipelines.OutcomeSucceeded, pipelines.OutcomeSucceeded,
			pipelines.OutcomeFailed, pipelines.OutcomeFailed, pipelines.OutcomeDeferred, pipelines.OutcomeReleased,
		})
		if between(rt, 0, 3) == 0 {
			o.Until = dbtype.NewTime(o.Until.Add(time.Hour))
		}
		if o.Kind == pipelines.OutcomeSucceeded {
			o.Output, o.Error = dbtype.JSON(`{"a": 1}`), ""
		}
		group = append(group, o)
	}
	if _, err := r.s.Engine.RecordOutcomes(r.t.Context(), string(worker), group); err != nil {
		r.t.Fatal(err)
	}
	r.held = slices.DeleteFunc(r.held, func(c pipelines.Claim) bool {
		return slices.ContainsFunc(group, func(o *pipelines.Outcome) bool { return o.Claim.Task.ID == c.Task.ID })
	})
}

// lose ends the lease of a worker that holds a task, and recovers its tasks. It may be the fourth time.
func (r *recorder) lose(rt *rand.Rand) {
	ctx := r.t.Context()
	for range between(rt, 1, 5) {
		if len(r.held) == 0 {
			return
		}
		worker := string(r.held[len(r.held)-1].Task.WorkerID)
		err := r.s.DB.Transaction(ctx, func(tx db.Tx) error {
			_, err := tx.Exec(`UPDATE {workers} SET lease_expires_at = $past WHERE id = $id`,
				db.Args{"id": worker, "past": dbtype.NewTime(tx.Now.Add(-time.Second))})
			return err
		})
		if err == nil {
			_, err = r.s.Engine.Recover(ctx)
		}
		if err != nil {
			r.t.Fatal(err)
		}
		r.held = slices.DeleteFunc(r.held, func(c pipelines.Claim) bool { return string(c.Task.WorkerID) == worker })
		r.record("lose")
		r.claim(rt)
		r.record("claim")
	}
}

// record reads the current rows.
func (r *recorder) record(after string) {
	x, list, rows, n := read(r.t, r.s, r.id)
	state := history.State{Execution: x, Tasks: list, Outbox: []history.Claimable{}}
	for _, t := range list {
		if i := slices.IndexFunc(rows, func(row outbox.Entry) bool { return row.TaskExecutionID == t.ID }); i >= 0 {
			state.Outbox = append(state.Outbox, history.Claimable{
				TaskExecutionID: t.ID, TaskName: t.TaskName, Handler: rows[i].Handler, Queue: rows[i].Queue,
				AvailableAt: rows[i].AvailableAt, CreatedAt: rows[i].CreatedAt,
			})
		}
	}
	r.kept = append(r.kept, snapshot{after, state, n})
}

func read(t *testing.T, s *enginetest.Stack, id dbtype.ID) (pipelines.Execution, []tasks.Task, []outbox.Entry, int) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	x, err := s.Pipelines.Get(ctx, id)
	list, err2 := s.Tasks.ListByPipeline(ctx, id)
	rows, err3 := s.Outbox.ListPending(ctx, 0)
	n, err4 := s.Events.CountByPipeline(ctx, id)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return x, list, rows, int(n)
}

// compare travels to every event, and to every time at which one was written.
func (r *recorder) compare(t *testing.T, seen map[events.Type]int) int {
	t.Helper()
	list, err := r.s.Events.ListByPipeline(t.Context(), r.id, eventstore.Page{})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := history.New(list)
	if err != nil {
		t.Fatal(err)
	}
	last := r.kept[len(r.kept)-1].state
	for i, e := range list {
		seen[e.EventType]++
		then := r.kept[slices.IndexFunc(r.kept, func(s snapshot) bool { return s.events > i })]
		cut, err := whole.AtEvent(e.SequenceNum)
		if err != nil {
			t.Fatal(err)
		}
		r.same(t, cut, then, last, fmt.Sprintf("event %d of %d, %s", i+1, len(list), e.EventType))
		checkTimeline(t, cut, then.state, fmt.Sprintf("run %d at event %d", r.n, i+1))
		if cut, err = whole.At(e.CreatedAt); err != nil {
			t.Fatal(err)
		}
		r.same(t, cut, then, last, fmt.Sprintf("the time of event %d of %d, %s", i+1, len(list), e.EventType))
		if t.Failed() {
			break
		}
	}
	return len(list)
}

func (r *recorder) same(t *testing.T, cut *history.Log, then snapshot, last history.State, where string) {
	t.Helper()
	got, err := cut.Fold().State()
	if err != nil {
		t.Fatal(err)
	}
	got.Complete(last.Execution, last.Tasks)
	want := then.state
	want.Tasks = slices.Clone(want.Tasks)
	for i, today := range last.Tasks {
		if today.Status != tasks.Completed || today.Attempt != want.Tasks[i].Attempt {
			want.Tasks[i].Output = nil // it has run again since, or was to run again
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run %d at %s, recorded after %s (-recorded +history):\n%s", r.n, where, then.after, diff)
	}
}
