package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// modelHandler is a handler that is only ever claimed for: the test itself says how an attempt comes out.
type modelHandler string

func (h modelHandler) Name() string                                                 { return string(h) }
func (h modelHandler) Check(map[string]any) error                                   { return nil }
func (h modelHandler) Run(context.Context, *tasks.Attempt) (json.RawMessage, error) { return nil, nil }

var modelHandlers = []tasks.Handler{modelHandler("left"), modelHandler("right")}

// modelTime bounds the random part of the test for each database. Rapid stops earlier after 100 rounds.
const modelTime = 15 * time.Second

// TestEngineFollowsTheModel makes random moves, legal and illegal, by several workers and operators, and compares after
// each the answer, every row and the outbox with a model that knows no SQL; the checker looks at the history.
func TestEngineFollowsTheModel(t *testing.T) {
	enginetest.Each(t, modelHandlers, func(t *testing.T, s *enginetest.Stack) {
		end, failed, rounds, steps := time.Now().Add(modelTime), false, 0, 0
		rapid.Check(t, func(t *rapid.T) {
			if time.Now().After(end) && !failed {
				return
			}
			rounds++
			passed := false
			defer func() { failed = failed || !passed }() // what shrinks a failure is not cut short
			m := newModel(t, s, rounds)
			t.Repeat(map[string]func(*rapid.T){
				"":      func(t *rapid.T) { steps++; m.check(t) },
				"start": m.start, "claim": m.claim, "claim again": m.claim, "finish": m.finish,
				"finish again": m.finish, "pause": m.pause,
				"resume": m.resume, "cancel": m.cancel, "retry": m.retry, "register": m.register, "expire": m.expire,
				"recover": m.recover,
				"renew":   m.renew, "annotate": m.annotate, "retention": m.retention, "nobody": m.nobody,
			})
			m.end(t)
			passed = true
		})
		t.Logf("%d rounds, %d steps", rounds, steps)
		if steps < 10 {
			t.Errorf("only %d rounds of %d steps in all fitted into %s", rounds, steps, modelTime)
		}
	})
}

func drawModelDefinition(t *rapid.T, s *enginetest.Stack) *definition.Definition {
	list := make([]definition.Task, rapid.IntRange(1, 5).Draw(t, "tasks"))
	for i := range list {
		x := definition.Task{ID: fmt.Sprintf("t%d", i), Uses: rapid.SampledFrom([]string{"left", "left", "right"}).
			Draw(t, "handler")}
		x.Retry = tasks.RetryPolicy{
			MaxAttempts: rapid.IntRange(1, 3).Draw(t, "attempts"), Backoff: tasks.Fixed,
			Delay: time.Hour,
		}
		if rapid.IntRange(0, 2).Draw(t, "retry soon") > 0 {
			x.Retry.Delay = 1 // a nanosecond is now: databases keep microseconds
		}
		rules := []definition.TriggerRule{definition.AllSuccess, definition.NoneFailed, definition.Always}
		for j := range i {
			if rapid.Bool().Draw(t, "edge") {
				x.Needs = append(x.Needs, list[j].ID)
				rules = append(definition.Rules(), definition.AllSuccess, definition.AllSuccess)
			}
		}
		x.ContinueOnError = rapid.IntRange(0, 3).Draw(t, "continues") == 0
		x.TriggerRule = rapid.SampledFrom(rules).Draw(t, "rule")
		list[i] = x
	}
	def := &definition.Definition{Name: "model", Tasks: list}
	if err := def.Check(s.Handlers); err != nil {
		t.Fatal(err)
	}
	return def
}

func (m *model) start(t *rapid.T) {
	if len(m.runs) == 4 {
		return
	}
	def, key := rapid.SampledFrom(m.defs).Draw(t, "definition"), rapid.SampledFrom([]string{"", "", "a", "b"}).
		Draw(t, "key")
	if key != "" {
		key = fmt.Sprint(key, m.round)
	}
	i := slices.IndexFunc(m.runs, func(r *modelRun) bool { return key != "" && r.key == key })
	started, err := m.s.Engine.Start(bg, []engine.StartRequest{{Definition: def, IdempotencyKey: key, Actor: "model"}})
	switch {
	case err != nil:
		t.Fatal(err)
	case started[0].Existing != (i >= 0) || i >= 0 && started[0].ID != m.runs[i].id:
		t.Fatalf("start with key %q: %+v; the key's run is number %d", key, started[0], i)
	case i < 0:
		m.add(t, started[0].ID, def, key)
	}
}

func (m *model) claim(t *rapid.T) {
	w := m.worker(t, true)
	if w == nil {
		return
	}
	want := outbox.ClaimFilter{Handlers: rapid.SampledFrom([][]string{{"left", "right"}, {"left"}, {"right"}}).
		Draw(t, "handlers"), Limit: rapid.IntRange(1, 4).Draw(t, "slots")}
	if r := m.run(t); r != nil && rapid.IntRange(0, 3).Draw(t, "one execution") == 0 {
		want.PipelineExecutionID = r.id
	}
	expected := m.due(t, want)
	claims, err := m.s.Engine.Claim(bg, engine.ClaimRequest{Worker: w.id, LeaseExpiresAt: w.expires, Want: want})
	if err != nil || len(claims) != len(expected) {
		t.Fatalf("claimed %d (%v), want %d", len(claims), err, len(expected))
	}
	for i := range claims {
		c, x := &claims[i], expected[i]
		x.claim(w.id)
		if c.Task.ID != x.id || c.Task.Version != x.version || c.Task.Attempt != x.attempt ||
			string(c.Task.WorkerID) != w.id || c.Definition.ID != x.name {
			t.Fatalf("claim %d is %+v, want %+v", i, c.Task, x)
		}
		m.claims = append(m.claims, modelClaim{c, x, x.version})
	}
}

// finish reports some claims, held or lost, perhaps one of them twice.
func (m *model) finish(t *rapid.T) {
	if len(m.claims) == 0 {
		return
	}
	var group []*pipelines.Outcome
	var lost []bool
	for range rapid.IntRange(1, 3).Draw(t, "outcomes") {
		c := rapid.SampledFrom(m.claims).Draw(t, "claim")
		held := c.task.status == tasks.Running && c.task.version == c.version
		o := m.outcome(t, c)
		if held {
			c.task.outcome(o)
		}
		group, lost = append(group, o), append(lost, !held)
	}
	for _, r := range m.runs {
		r.follow()
	}
	answers, err := m.s.Engine.RecordOutcomes(bg, string(group[0].Claim.Task.WorkerID), group)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range answers {
		if lost[i] != errors.Is(err, tasks.ErrClaimLost) || !lost[i] && err != nil {
			t.Fatalf("outcome %d of %+v: %v; claim lost: %v", i, group[i].Claim.Task, err, lost[i])
		}
	}
}

func (m *model) outcome(t *rapid.T, c modelClaim) *pipelines.Outcome {
	now := m.s.DB.Now()
	o := &pipelines.Outcome{
		Claim: c.Claim, Output: dbtype.JSON(`{"n": 1}`), ErrorKind: tasks.KindError,
		Error: "it fails", Until: dbtype.NewTime(now), Reason: "why",
	}
	o.Logs = tasks.Written{Chunks: []tasks.Chunk{{
		TaskExecutionID: c.Claim.Task.ID, Attempt: c.Claim.Task.Attempt,
		Seq: c.Claim.Task.Version << 32, Stream: tasks.Stdout, ByteCount: 5, Text: "words",
	}}}
	o.Kind = rapid.SampledFrom([]pipelines.OutcomeKind{
		pipelines.OutcomeSucceeded, pipelines.OutcomeSucceeded, pipelines.OutcomeSucceeded, pipelines.OutcomeFailed,
		pipelines.OutcomeFailed, pipelines.OutcomeDeferred, pipelines.OutcomeReleased,
	}).Draw(t, "kind")
	if rapid.IntRange(0, 3).Draw(t, "hard") == 0 {
		o.ErrorKind, o.Until = tasks.KindPermanent, dbtype.NewTime(now.Add(time.Hour))
	}
	return o
}

// operate gives an order about some run, and compares the answer.
func (m *model) operate(
	t *rapid.T, give func(context.Context, engine.ControlRequest) error, legal func(*modelRun) bool, do func(*modelRun),
) {
	r := m.run(t)
	if r == nil {
		return
	}
	ok, was := legal(r), r.status
	err := give(bg, engine.ControlRequest{ID: r.id, Reason: "the model says so", Actor: "operator"})
	if ok != (err == nil) || !ok && !errors.Is(err, pipelines.ErrInvalidState) && !errors.Is(err, tasks.ErrNotFound) {
		t.Fatalf("order for a run that is %s: %v; legal: %v", was, err, ok)
	}
	if ok {
		do(r)
	}
}

func (m *model) pause(t *rapid.T) {
	m.operate(t, m.s.Engine.Pause, func(r *modelRun) bool { return r.status == pipelines.Running },
		func(r *modelRun) { r.move(pipelines.Paused) })
}

func (m *model) resume(t *rapid.T) {
	m.operate(t, m.s.Engine.Resume, func(r *modelRun) bool { return r.status == pipelines.Paused },
		func(r *modelRun) { r.move(pipelines.Running) })
}

func (m *model) cancel(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "really") == 0 {
		m.operate(t, m.s.Engine.Cancel, func(r *modelRun) bool { return !r.status.Terminal() }, (*modelRun).cancel)
	}
}

func (m *model) retry(t *rapid.T) {
	from := rapid.SampledFrom([]string{"", "", "t0", "t1", "t2", "t3", "no such task"}).Draw(t, "from")
	m.operate(t, func(bg context.Context, o engine.ControlRequest) error { return m.s.Engine.Retry(bg, o, from) },
		func(r *modelRun) bool {
			return r.status.Terminal() && !r.removed && len(r.chosen(from)) > 0 && !r.useless(from)
		},
		func(r *modelRun) { r.reopen(r.chosen(from)) })
}

// nobody gives orders about a run that does not exist.
func (m *model) nobody(t *rapid.T) {
	o := engine.ControlRequest{ID: dbtype.NewID()}
	e := m.s.Engine
	for _, err := range []error{e.Pause(bg, o), e.Resume(bg, o), e.Cancel(bg, o), e.Retry(bg, o, "")} {
		if !errors.Is(err, pipelines.ErrExecutionNotFound) {
			t.Fatalf("order for a run that does not exist: %v", err)
		}
	}
}

func (m *model) register(t *rapid.T) {
	if len(m.workers) == 4 {
		return
	}
	w := &modelWorker{id: "worker-" + dbtype.NewID().String()}
	var err error
	if w.expires, err = m.s.Leases.Register(bg, leases.Worker{ID: w.id, Slots: 4}, time.Hour); err != nil {
		t.Fatal(err)
	}
	m.workers = append(m.workers, w)
}

func (m *model) renew(t *rapid.T) {
	w := m.worker(t, false)
	if w == nil {
		return
	}
	_, err := m.s.Leases.Renew(bg, w.id, time.Hour)
	if w.gone != errors.Is(err, leases.ErrExpired) || !w.gone && err != nil {
		t.Fatalf("renew: %v; gone: %v", err, w.gone)
	}
	w.expired = w.gone // what nobody has taken is still its own
}
