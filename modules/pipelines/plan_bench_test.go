package pipelines

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// joined is a run of n tasks, and with join one more that needs them all; without it each needs the one before.
func joined(b *testing.B, n int, join bool) *definition.Definition {
	b.Helper()
	def := &definition.Definition{Name: "planned"}
	var all []string
	for i := range n {
		t := definition.Task{ID: fmt.Sprintf("t%d", i), Uses: "any"}
		if !join && i > 0 {
			t.Needs = all[i-1:]
		}
		def.Tasks, all = append(def.Tasks, t), append(all, t.ID)
	}
	if join {
		def.Tasks = append(def.Tasks, definition.Task{ID: "join", Uses: "any", Needs: all})
	}
	if err := def.Check(nil); err != nil {
		b.Fatal(err)
	}
	return def
}

func perTask(b *testing.B, n int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/task")
}

var plannedAt = dbtype.NewTime(time.Unix(1e9, 0))

// BenchmarkPlanStart is what the engine works out for a run's start, without writing it.
func BenchmarkPlanStart(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("chain-%d", n), func(b *testing.B) {
			def := joined(b, n, false)
			b.ReportAllocs()
			for b.Loop() {
				p := PlanStart(Execution{ID: dbtype.NewID(), Status: Running, Version: 1, OpenTasks: n}, def, plannedAt,
					"")
				if _, err := p.Advance(); err != nil {
					b.Fatal(err)
				}
				if moves, _ := p.Changes(); len(moves) != n {
					b.Fatalf("%d moves", len(moves))
				}
			}
			perTask(b, n)
		})
	}
}

// BenchmarkPlanFinish is what the engine works out when tasks end: the first of a chain of ten, which makes the second
// ready, and all that a join waits for at once.
func BenchmarkPlanFinish(b *testing.B) {
	for _, c := range []struct {
		name  string
		tasks int
		join  bool
		ends  int // the first so many
	}{{"chain", 10, false, 1}, {"join-100", 100, true, 100}, {"join-1000", 1000, true, 1000}} {
		b.Run(c.name, func(b *testing.B) {
			def := joined(b, c.tasks, c.join)
			x := Execution{ID: dbtype.NewID(), Status: Running, Version: 1, OpenTasks: len(def.Tasks)}
			start := PlanStart(x, def, plannedAt, "")
			if _, err := start.Advance(); err != nil {
				b.Fatal(err)
			}
			var rows []tasks.Task
			var outcomes []*Outcome
			near := map[string]bool{}
			for i := range c.ends {
				row := start.nodes[def.Tasks[i].ID].task.Claim("worker", plannedAt, plannedAt).MarkStarted().Task
				rows = append(rows, row)
				outcomes = append(outcomes,
					&Outcome{Claim: &Claim{Task: row, Definition: &def.Tasks[i]}, Kind: OutcomeSucceeded})
				for _, d := range def.Dependents(row.TaskName) {
					near[d] = true
				}
			}
			for name := range near {
				rows = append(rows, start.nodes[name].task)
			}
			b.ReportAllocs()
			for b.Loop() {
				p := NewPlan(x, def, rows, false, plannedAt)
				p.RecordOutcomes("worker", outcomes)
				if _, err := p.Advance(); err != nil {
					b.Fatal(err)
				}
				if moves, _ := p.Changes(); len(moves) != c.ends+1 {
					b.Fatalf("%d moves", len(moves))
				}
			}
			perTask(b, c.ends)
		})
	}
}
