package pipelines

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// store is a run's rows in memory, changed by plans as the engine's transactions would.
type store struct {
	def    *definition.Definition
	x      Execution
	rows   map[string]tasks.Task
	queued map[string]bool // who has an outbox row
	now    db.Time
	oracle *oracle
}

func startStore(t *rapid.T, def *definition.Definition) *store {
	s := &store{
		def: def, rows: map[string]tasks.Task{}, queued: map[string]bool{}, now: db.NewTime(time.Unix(1e9, 0)),
		x:      Execution{ID: db.NewID(), PipelineName: def.Name, Status: Running, Version: 1, OpenTasks: len(def.Tasks), Input: db.JSON("{}")},
		oracle: newOracle(def),
	}
	p, err := planStart(s.x, def, s.now, "")
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, p)
	s.check(t, "start")
	return s
}

func (s *store) clone() *store {
	c := *s
	c.rows, c.queued = map[string]tasks.Task{}, map[string]bool{}
	for k, v := range s.rows {
		c.rows[k] = v
	}
	for k, v := range s.queued {
		c.queued[k] = v
	}
	return &c
}

// plan loads the named rows, or all.
func (s *store) plan(whole bool, names ...string) *plan {
	var list []tasks.Task
	for name, row := range s.rows {
		if whole || slices.Contains(names, name) {
			row.Output = nil // plans read rows without their outputs
			list = append(list, row)
		}
	}
	p := newPlan(s.x, s.def, list, whole, s.now)
	p.outputs = func(names []string) (map[string]json.RawMessage, error) {
		out := map[string]json.RawMessage{}
		for _, name := range names {
			if n := p.nodes[name]; n != nil && n.change != nil {
				out[name] = json.RawMessage(n.change.Task.Output)
			} else if s.rows[name].Status == tasks.Completed {
				out[name] = json.RawMessage(s.rows[name].Output)
			}
		}
		return out, nil
	}
	return p
}

// write applies a plan, and sees that each move is legal and starts from the row as it is.
func (s *store) write(t *rapid.T, p *plan) {
	moves, counters := p.result()
	for _, m := range moves {
		row := s.rows[m.Task.TaskName]
		if m.ReadVersion != row.Version || m.Task.Version != m.ReadVersion+int64(len(m.Steps)) {
			t.Fatalf("task %s: a move from version %d by %d steps to %d, the row having %d", m.Task.TaskName, m.ReadVersion, len(m.Steps), m.Task.Version, row.Version)
		}
		for _, step := range m.Steps {
			if !legal(step.Transition, row.Status) {
				t.Fatalf("task %s: %s of a task that is %q", m.Task.TaskName, step.Transition.Name, row.Status)
			}
			row.Status = step.Transition.To
		}
		if row.Status != m.Task.Status {
			t.Fatalf("task %s: steps lead to %s, the row says %s", m.Task.TaskName, row.Status, m.Task.Status)
		}
		delete(s.queued, m.Task.TaskName)
		if last := m.Steps[len(m.Steps)-1].Transition; last.Outbox == tasks.OutboxAdd && !m.NoOutbox {
			s.queued[m.Task.TaskName] = true
		}
		remaining := s.rows[m.Task.TaskName].RemainingDependencies
		s.rows[m.Task.TaskName] = m.Task
		if !m.WritesRemaining() { // what the move carries may be old
			row = m.Task
			row.RemainingDependencies = remaining
			s.rows[m.Task.TaskName] = row
		}
	}
	for _, c := range counters {
		for name, row := range s.rows {
			if row.ID == c.ID {
				row.RemainingDependencies -= c.Ended
				s.rows[name] = row
			}
		}
	}
	s.x = s.ended(t, p)
}

func legal(t tasks.Transition, from tasks.Status) bool {
	return len(t.From) == 0 && from == "" || slices.Contains(t.From, from)
}

// ended is the execution as a plan leaves it.
func (s *store) ended(t *rapid.T, p *plan) Execution {
	end, err := p.finishIfDone()
	switch {
	case err != nil:
		t.Fatal(err)
	case end == nil:
		return p.execution
	case end.failure != nil:
		t.Fatal(end.failure)
	}
	return end.execution
}

// planned is what a plan would write.
type planned struct {
	Tasks     []tasks.Task
	Steps     []string
	Hold      []bool
	Counters  []tasks.DependencyCount
	Execution Execution
}

func (s *store) planned(t *rapid.T, p *plan) planned {
	moves, counters := p.result()
	out := planned{Counters: sortCounters(counters), Execution: s.ended(t, p)}
	for _, m := range moves {
		out.Tasks, out.Hold = append(out.Tasks, m.Task), append(out.Hold, m.NoOutbox)
		for _, step := range m.Steps {
			out.Steps = append(out.Steps, fmt.Sprintf("%s %+v by %q", step.Transition.Name, step.Data, step.Worker))
		}
	}
	return out
}

// finish records a group as the engine does, and sees that a partial plan, where it is enough, means the same as a
// whole one.
func (s *store) finish(t *rapid.T, outcomes []*Outcome) {
	whole := s.plan(true)
	if lost, err := whole.recordOutcomes("worker", outcomes); err != nil || len(lost) > 0 {
		t.Fatalf("whole plan: %v, %d lost", err, len(lost))
	}
	var near []string
	for _, n := range (&executionOutcomes{id: s.x.ID, def: s.def, outcomes: outcomes}).tasksToLoad(false) {
		near = append(near, n.TaskName)
	}
	p := s.plan(false, near...)
	p.loadTasks = func(names []string) (list []tasks.Task, err error) {
		for _, name := range names {
			list = append(list, s.rows[name])
		}
		return list, nil
	}
	_, err := p.recordOutcomes("worker", outcomes)
	switch {
	case err == nil:
		if diff := cmp.Diff(s.planned(t, whole), s.planned(t, p)); diff != "" {
			t.Fatalf("near plan (-whole +near):\n%s", diff)
		}
	case !errors.Is(err, errNeedFullGraph):
		t.Fatal(err)
	case whole.execution.UnsuccessfulTasks == 0 || p.loads < maxLoads && whole.execution.OpenTasks > 0:
		t.Fatal("the plan asks for the whole graph although it could know enough")
	}
	s.write(t, whole)
}
