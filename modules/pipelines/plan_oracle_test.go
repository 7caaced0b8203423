package pipelines

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	rules "github.com/sluiceworks/sluice/modules/pipelines/oracle"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// oracle knows the statuses of a run's tasks, and how often each has failed. It keeps no counter and looks at
// everything each time.
type oracle struct {
	def      *definition.Definition
	at       map[string]tasks.Status
	above    map[string]bool // skipped because of a failure above
	failures map[string]int
}

func newOracle(def *definition.Definition) *oracle {
	o := &oracle{def: def, at: map[string]tasks.Status{}, above: map[string]bool{}, failures: map[string]int{}}
	for _, t := range def.Tasks {
		o.at[t.ID] = tasks.NotStarted
	}
	o.follow()
	return o
}

// outcome enters how an attempt came out; what follows from it, follow says.
func (o *oracle) outcome(name string, x *Outcome) {
	switch x.Kind {
	case OutcomeSucceeded:
		o.at[name] = tasks.Completed
	case OutcomeFailed:
		o.failures[name]++
		o.at[name] = tasks.Ready
		if t, _ := o.def.Task(name); x.ErrorKind == tasks.KindPermanent || o.failures[name] >= t.Retry.MaxAttempts {
			o.at[name] = tasks.Failed
		}
	default:
		o.at[name] = tasks.Ready
	}
}

// open counts the dependencies that have not ended.
func (o *oracle) open(t *definition.Task) (n int) {
	for _, need := range t.Needs {
		if !o.at[need].Terminal() {
			n++
		}
	}
	return n
}

// follow decides the tasks whose rule says what becomes of them, until nothing changes.
func (o *oracle) follow() {
	for again := true; again; {
		again = false
		for i := range o.def.Tasks {
			t := &o.def.Tasks[i]
			if o.at[t.ID] != tasks.NotStarted {
				continue
			}
			var ended []string
			for _, need := range t.Needs {
				ended = append(ended, rules.Kind(string(o.at[need]), o.above[need]))
			}
			says := rules.Rule(string(t.TriggerRule), ended)
			if says == "wait" {
				continue
			}
			again = true
			switch {
			case says == "skip", says == "fail", t.If == "false":
				o.at[t.ID], o.above[t.ID] = tasks.Skipped, says == "fail"
			case strings.HasSuffix(t.If, broken):
				o.at[t.ID] = tasks.Abandoned
			default:
				o.at[t.ID] = tasks.Ready
			}
		}
	}
}

// end is how the run stands, given how it stood.
func (o *oracle) end(was Status) Status {
	end := Completed
	for _, t := range o.def.Tasks {
		switch at := o.at[t.ID]; {
		case !at.Terminal():
			return was
		case (at == tasks.Failed || at == tasks.Abandoned) && !t.ContinueOnError:
			end = Failed
		}
	}
	return end
}

// reopen says what a retry runs again, in the order of declaration, and enters it.
func (o *oracle) reopen(from string) (names []string) {
	again := map[string]bool{from: true}
	for _, name := range o.def.Order() {
		t, _ := o.def.Task(name)
		bad := o.at[name] == tasks.Failed || o.at[name] == tasks.Abandoned
		again[name] = name == from || from == "" && bad ||
			slices.ContainsFunc(t.Needs, func(need string) bool { return again[need] })
	}
	for _, t := range o.def.Tasks {
		if again[t.ID] {
			names = append(names, t.ID)
		}
	}
	for _, name := range names {
		o.at[name], o.above[name], o.failures[name] = tasks.NotStarted, false, 0
	}
	o.follow()
	return names
}

// check compares the rows with the oracle.
func (s *store) check(t *rapid.T, after string) {
	o := s.oracle
	o.follow()
	got, remaining, wantRemaining, queued := map[string]tasks.Status{}, map[string]int{}, map[string]int{},
		map[string]bool{}
	above := map[string]bool{}
	open, unsuccessful := 0, 0
	for i := range o.def.Tasks {
		d := &o.def.Tasks[i]
		row := s.rows[d.ID]
		got[d.ID], remaining[d.ID], wantRemaining[d.ID] = row.Status, row.RemainingDependencies, o.open(d)
		if above[d.ID] = row.SkipReason == tasks.SkipUpstreamFailed; above[d.ID] != o.above[d.ID] ||
			(row.SkipReason != "") != (row.Status == tasks.Skipped) {
			t.Fatalf("after %s: task %s is %s with skip_reason %q\n%s", after, d.ID, row.Status, row.SkipReason, s)
		}
		if row.Status == tasks.Ready && s.x.Status == Running {
			queued[d.ID] = true
		}
		if !row.Status.Terminal() {
			open++
		} else if row.Status != tasks.Completed {
			unsuccessful++
		}
	}
	diff := cmp.Diff(o.at, got) + cmp.Diff(wantRemaining, remaining) + cmp.Diff(queued, s.queued)
	diff += cmp.Diff([]int{open, unsuccessful}, []int{s.x.OpenTasks, s.x.UnsuccessfulTasks})
	if diff != "" {
		t.Fatalf("after %s: statuses, open dependencies, outbox, counters (-want +got):\n%s\n%s", after, diff, s)
	}
	was := s.x.Status
	if was.Terminal() {
		was = Running // it was, or it was paused: the oracle must say that it has ended
	}
	if want := o.end(was); s.x.Status != want || (want == Failed) != (s.x.Error != "") {
		t.Fatalf("after %s: the run is %s (%s), want %s\n%s", after, s.x.Status, s.x.Error, want, s)
	}
}

// String shows the graph and where each task stands.
func (s *store) String() string {
	var b strings.Builder
	for _, t := range s.def.Tasks {
		fmt.Fprintf(&b, "%s needs %v, rule %s, if %q: %s, want %s\n", t.ID, t.Needs, t.TriggerRule, t.If,
			s.rows[t.ID].Status, s.oracle.at[t.ID])
	}
	return b.String()
}
