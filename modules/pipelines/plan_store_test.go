package pipelines

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// store is a run's rows in memory, changed by plans as the engine's transactions would.
type store struct {
	def    *definition.Definition
	x      Execution
	rows   map[string]tasks.Task
	queued map[string]bool // who has an outbox row
	now    dbtype.Time
	oracle *oracle
}

func startStore(t *rapid.T, def *definition.Definition) *store {
	s := &store{
		def: def, rows: map[string]tasks.Task{}, queued: map[string]bool{}, now: dbtype.NewTime(time.Unix(1e9, 0)),
		x: Execution{
			ID: dbtype.NewID(), PipelineName: def.Name, Status: Running, Version: 1,
			OpenTasks: len(def.Tasks), Input: dbtype.JSON("{}"),
		},
		oracle: newOracle(def),
	}
	p := PlanStart(s.x, def, s.now, "")
	s.advance(t, p)
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
func (s *store) plan(whole bool, names ...string) *Plan {
	var list []tasks.Task
	for name, row := range s.rows {
		if whole || slices.Contains(names, name) {
			row.Output = nil // plans read rows without their outputs
			list = append(list, row)
		}
	}
	return NewPlan(s.x, s.def, list, whole, s.now)
}

// supply advances a plan, and supplies the rows and outputs that it lacks.
func (s *store) supply(p *Plan) (Missing, error) {
	for {
		missing, err := p.Advance()
		switch {
		case err != nil || missing.FullGraph || missing.Nothing():
			return missing, err
		case len(missing.Tasks) > 0:
			var list []tasks.Task
			for _, name := range missing.Tasks {
				list = append(list, s.rows[name])
			}
			p.SupplyTasks(missing.Tasks, list)
		default:
			out := map[string]json.RawMessage{}
			for _, name := range missing.Outputs {
				if s.rows[name].Status == tasks.Completed {
					out[name] = json.RawMessage(s.rows[name].Output)
				}
			}
			p.SupplyOutputs(missing.Outputs, out, nil)
		}
	}
}

// advance is supply of a plan with the full graph.
func (s *store) advance(t *rapid.T, p *Plan) {
	if missing, err := s.supply(p); err != nil || missing.FullGraph {
		t.Fatalf("the plan lacks %+v: %v", missing, err)
	}
}

// write applies a plan, and sees that each move is legal and starts from the row as it is.
func (s *store) write(t *rapid.T, p *Plan) {
	moves, counters := p.Changes()
	for _, m := range moves {
		row := s.rows[m.Task.TaskName]
		if m.ReadVersion != row.Version || m.Task.Version != m.ReadVersion+int64(len(m.Steps)) {
			t.Fatalf("task %s: a move from version %d by %d steps to %d, the row having %d", m.Task.TaskName,
				m.ReadVersion, len(m.Steps), m.Task.Version, row.Version)
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
func (s *store) ended(t *rapid.T, p *Plan) Execution {
	end := p.End()
	if end == nil {
		return p.Execution
	}
	if err := end.Err(); err != nil {
		t.Fatal(err)
	}
	return end.Execution
}

// planned is what a plan would write.
type planned struct {
	Tasks     []tasks.Task
	Steps     []string
	Hold      []bool
	Counters  []tasks.DependencyCount
	Execution Execution
}

func (s *store) planned(t *rapid.T, p *Plan) planned {
	moves, counters := p.Changes()
	slices.SortFunc(counters, func(a, b tasks.DependencyCount) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	out := planned{Counters: counters, Execution: s.ended(t, p)}
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
	if lost := whole.RecordOutcomes("worker", outcomes); len(lost) > 0 {
		t.Fatalf("whole plan: %d lost", len(lost))
	}
	s.advance(t, whole)
	var near []string
	for _, o := range outcomes {
		near = append(near, o.Claim.Task.TaskName)
		if o.Kind == OutcomeSucceeded {
			near = append(near, s.def.Dependents(o.Claim.Task.TaskName)...)
		}
	}
	p := s.plan(false, near...)
	p.RecordOutcomes("worker", outcomes)
	missing, err := s.supply(p)
	switch {
	case err != nil:
		t.Fatal(err)
	case !missing.FullGraph:
		if diff := cmp.Diff(s.planned(t, whole), s.planned(t, p)); diff != "" {
			t.Fatalf("partial plan (-whole +near):\n%s", diff)
		}
	case whole.Execution.UnsuccessfulTasks == 0 || p.supplies < maxSupplies && whole.Execution.OpenTasks > 0:
		t.Fatal("the plan asks for the whole graph although it could know enough")
	}
	s.write(t, whole)
}
