package pipelines

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const broken = " + 1 > 2" // after a dependency's text: no number, so that the condition can't be evaluated

// TestPlanFollowsTheOracle runs random graphs to their end, outcomes in random groups and orders, and compares every
// step with an oracle that knows only statuses and works everything out anew. Failed runs, and some that completed, are
// retried once.
func TestPlanFollowsTheOracle(t *testing.T) {
	for part := range 4 { // rapid makes 100 checks of each
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				s := startStore(t, drawDefinition(t))
				s.runToEnd(t)
				if s.x.Status == Failed || rapid.Bool().Draw(t, "again") {
					s.retry(t)
					s.runToEnd(t)
				}
			})
		})
	}
}

// drawDefinition makes a graph of at most 12 tasks, declared in any order.
func drawDefinition(t *rapid.T) *definition.Definition {
	n := rapid.IntRange(1, 12).Draw(t, "tasks")
	list := make([]definition.Task, n)
	for i := range list {
		task := definition.Task{ID: fmt.Sprintf("t%d", i), Uses: "any"}
		task.Retry = tasks.RetryPolicy{
			MaxAttempts: rapid.IntRange(1, 2).Draw(t, "attempts"), Backoff: tasks.Fixed,
			Delay: time.Second,
		}
		rules := []definition.TriggerRule{
			definition.AllSuccess, definition.AllDone, definition.NoneFailed,
			definition.Always,
		}
		conditions := []string{"", "", "", "", "false", "true"}
		for j := range i {
			if rapid.IntRange(0, 2).Draw(t, "edge") == 0 {
				task.Needs = append(task.Needs, list[j].ID)
			}
		}
		if len(task.Needs) > 0 {
			rules = definition.Rules()
			conditions = append(conditions, "needs."+task.Needs[0]+".text"+broken)
		}
		task.ContinueOnError = rapid.IntRange(0, 3).Draw(t, "continues") == 0
		task.TriggerRule, task.If = rapid.SampledFrom(rules).Draw(t, "rule"), rapid.SampledFrom(conditions).
			Draw(t, "if")
		list[i] = task
	}
	def := &definition.Definition{Name: "model", Tasks: rapid.Permutation(list).Draw(t, "declared")}
	if err := def.Check(nil); err != nil {
		t.Fatal(err)
	}
	return def
}

// runToEnd takes random steps until the run has ended; after 60 of them only such as end tasks.
func (s *store) runToEnd(t *rapid.T) {
	for step := 0; !s.x.Status.Terminal(); step++ {
		if step == 200 {
			t.Fatalf("the run does not end: %v", s.oracle.at)
		}
		s.now = dbtype.NewTime(s.now.Add(time.Second))
		kind := "claim and finish"
		if step < 60 {
			kind = rapid.SampledFrom([]string{"claim", "finish", "claim and finish", "recover", "pause"}).
				Draw(t, "step")
		} else if s.x.Status == Paused {
			kind = "pause"
		}
		switch kind {
		case "pause":
			s.pauseOrResume()
		case "recover":
			s.recover(t)
		default:
			if kind != "finish" {
				s.claim(t)
			}
			if kind != "claim" {
				s.finishSome(t, step >= 60)
			}
		}
		s.check(t, kind)
	}
}

// claim takes some of the tasks that have an outbox row.
func (s *store) claim(t *rapid.T) {
	for _, name := range slices.Sorted(maps.Keys(s.queued)) {
		if rapid.IntRange(0, 3).Draw(t, "claimed") > 0 {
			s.rows[name] = s.rows[name].Claim("worker", s.now, s.now).MarkStarted().Task
			s.oracle.at[name] = tasks.Running
			delete(s.queued, name)
		}
	}
}

func (s *store) running() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(s.rows)) {
		if s.rows[name].Status == tasks.Running {
			names = append(names, name)
		}
	}
	return names
}

// finishSome ends the attempts of a random group of running tasks; neither the order of outcomes within it nor its
// being cut into groups of one makes a difference to the rows.
func (s *store) finishSome(t *rapid.T, last bool) {
	var group []*Outcome
	for _, name := range s.running() {
		if last || rapid.Bool().Draw(t, "ends") {
			group = append(group, s.outcome(t, name, last))
		}
	}
	if len(group) == 0 {
		return
	}
	group = rapid.Permutation(group).Draw(t, "order")
	other, single := s.clone(), s.clone()
	s.finish(t, group)
	other.finish(t, rapid.Permutation(group).Draw(t, "other order"))
	s.same(t, other, "in another order")
	for _, o := range group {
		single.finish(t, []*Outcome{o})
	}
	s.same(t, single, "one at a time")
	for _, o := range group {
		s.finishAgain(t, o)
	}
}

// finishAgain plans an outcome that was recorded before, from the row that its worker remembers and from initial rows
// of its dependents, as the engine's first try does. The plan reports that it is stale, needs the full graph, or
// changes a row from a version that has passed.
func (s *store) finishAgain(t *rapid.T, o *Outcome) {
	list := []tasks.Task{o.Claim.Task}
	for _, name := range s.def.Dependents(o.Claim.Task.TaskName) {
		row := s.rows[name]
		if i := s.def.IndexOf(name); len(s.def.Tasks[i].Needs) == 1 {
			spec := NewTaskSpec(s.x.ID, s.def, i)
			row = spec.InitialRow()
		}
		list = append(list, row)
	}
	p := NewPlan(s.x, s.def, list, false, s.now)
	p.RecordOutcomes("worker", []*Outcome{o})
	missing, err := s.supply(p)
	if errors.Is(err, ErrStalePlan) || err == nil && missing.FullGraph {
		return
	}
	p.End()
	moves, _ := p.Changes()
	if err != nil || !slices.ContainsFunc(moves, func(m *tasks.Change) bool {
		return m.ReadVersion != s.rows[m.Task.TaskName].Version
	}) {
		t.Fatalf("an outcome of %s recorded again: %v, %d moves from current rows", o.Claim.Task.TaskName, err,
			len(moves))
	}
}

// outcome draws how an attempt comes out, and tells the oracle. last: in a way that ends the task soon.
func (s *store) outcome(t *rapid.T, name string, last bool) *Outcome {
	kinds := []OutcomeKind{
		OutcomeSucceeded, OutcomeSucceeded, OutcomeFailed, OutcomeFailed, OutcomeDeferred,
		OutcomeReleased,
	}
	if last {
		kinds = kinds[:4]
	}
	def, _ := s.def.Task(name)
	o := &Outcome{Claim: &Claim{Task: s.rows[name], Definition: def}, Kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
	o.Output, o.ErrorKind, o.Error, o.Until, o.Reason = dbtype.JSON(`{"text":"x"}`), tasks.KindError, "it fails", s.now,
		"why"
	if o.Kind == OutcomeFailed && rapid.IntRange(0, 2).Draw(t, "permanent") == 0 {
		o.ErrorKind = tasks.KindPermanent
	}
	s.oracle.outcome(name, o)
	return o
}

// same compares what two stores hold, but for the words of a condition that fails before all dependencies have ended:
// which of them it finds there depends on the order.
func (s *store) same(t *rapid.T, other *store, what string) {
	early := func(name string) bool {
		d, _ := s.def.Task(name)
		return d.TriggerRule.Early()
	}
	words := cmp.Transformer("words", func(t tasks.Task) tasks.Task {
		if t.Status == tasks.Abandoned && t.Attempt == 0 && early(t.TaskName) {
			t.Error = ""
		}
		return t
	})
	diff := cmp.Diff(s.rows, other.rows, cmp.FilterPath(func(p cmp.Path) bool {
		_, element := p.Last().(cmp.MapIndex)
		return element
	}, words)) + cmp.Diff(s.queued, other.queued) + cmp.Diff(s.x, other.x)
	if diff != "" {
		t.Fatalf("the same outcomes %s (-at once +so):\n%s", what, diff)
	}
}

// recover takes some running tasks from their worker, or gives them up.
func (s *store) recover(t *rapid.T) {
	p := s.plan(true)
	for _, name := range s.running() {
		n := p.nodes[name]
		switch rapid.IntRange(0, 3).Draw(t, "recovered") {
		case 0:
			p.record(n, n.task.Recover(s.now))
			s.oracle.at[name] = tasks.Ready
		case 1:
			p.record(n, tasks.NewChange(n.task).Abandon("lost too often", s.now))
			s.oracle.at[name] = tasks.Abandoned
		}
	}
	s.advance(t, p)
	s.write(t, p)
}

// pauseOrResume changes the status and the outbox as the engine does.
func (s *store) pauseOrResume() {
	if s.x.Status == Paused {
		s.x.Status = Running
		for name, row := range s.rows {
			if row.Status == tasks.Ready {
				s.queued[name] = true
			}
		}
		return
	}
	s.x.Status = Paused
	clear(s.queued)
}

// retry reopens a run that has ended, all of it or from a task on, unless that task would be skipped again.
func (s *store) retry(t *rapid.T) {
	names := s.def.Order()
	if s.x.Status == Failed {
		names = append([]string{""}, names...)
	}
	from := rapid.SampledFrom(names).Draw(t, "from")
	p := s.plan(true)
	p.Execution.Status = Running
	before, above := maps.Clone(s.oracle.at), maps.Clone(s.oracle.above)
	want := s.oracle.reopen(from)
	names, err := p.Reset(from)
	if err == nil {
		_, err = s.supply(p)
	}
	if len(want) == 0 || from != "" && s.oracle.at[from] == tasks.Skipped {
		if !errors.Is(err, ErrInvalidState) {
			t.Fatalf("a retry of nothing, or from a task that would be skipped again: %v, want ErrState", err)
		}
		s.oracle.at, s.oracle.above = before, above
		return
	}
	if diff := cmp.Diff(want, names); err != nil || diff != "" {
		t.Fatalf("retry from %q: %v; reopened (-want +got):\n%s", from, err, diff)
	}
	m := s.x.Restart(names, from)
	m.Execution.OpenTasks, m.Execution.UnsuccessfulTasks = p.Execution.OpenTasks, p.Execution.UnsuccessfulTasks
	p.Execution = m.Execution
	s.write(t, p)
	s.check(t, "retry")
}
