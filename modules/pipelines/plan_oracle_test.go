package pipelines

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// oracle knows the statuses of a run's tasks, and how often each has failed. It keeps no counter and looks at everything each time.
type oracle struct {
	def      *definition.Definition
	at       map[string]tasks.Status
	failures map[string]int
}

func newOracle(def *definition.Definition) *oracle {
	o := &oracle{def: def, at: map[string]tasks.Status{}, failures: map[string]int{}}
	for _, t := range def.Tasks {
		o.at[t.ID] = tasks.NotStarted
	}
	o.follow()
	return o
}

// outcome enters how an attempt came out; what follows from it, follow says.
func (o *oracle) outcome(name string, x *Outcome) {
	switch x.Kind {
	case Succeeded:
		o.at[name] = tasks.Completed
	case Erred:
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

// follow decides tasks whose dependencies have ended, until nothing changes.
func (o *oracle) follow() {
	for again := true; again; {
		again = false
		for i := range o.def.Tasks {
			t := &o.def.Tasks[i]
			if o.at[t.ID] != tasks.NotStarted || o.open(t) > 0 {
				continue
			}
			again = true
			switch {
			case !o.holds(t), t.If == "false":
				o.at[t.ID] = tasks.Skipped
			case strings.HasSuffix(t.If, broken):
				o.at[t.ID] = tasks.Abandoned
			default:
				o.at[t.ID] = tasks.Ready
			}
		}
	}
}

// holds is the trigger rule, by counting.
func (o *oracle) holds(t *definition.Task) bool {
	good, bad, cancelled, all := 0, 0, 0, len(t.Needs)
	for _, need := range t.Needs {
		switch o.at[need] {
		case tasks.Completed:
			good++
		case tasks.Failed, tasks.Abandoned:
			bad++
		case tasks.Cancelled:
			cancelled++
		}
	}
	return map[definition.Rule]bool{
		definition.AllSuccess: good == all, definition.AllDone: true, definition.Always: true, definition.AllFailed: all > 0 && bad == all,
		definition.OneSuccess: good > 0, definition.OneFailed: bad > 0, definition.NoneFailed: bad+cancelled == 0,
	}[t.TriggerRule]
}

// end is how the run stands, given how it stood.
func (o *oracle) end(was Status) Status {
	end := Completed
	for _, t := range o.def.Tasks {
		switch at := o.at[t.ID]; {
		case !at.Terminal():
			return was
		case (at == tasks.Failed || at == tasks.Abandoned) && !o.handled(t.ID):
			end = Failed
		}
	}
	return end
}

func (o *oracle) handled(name string) bool {
	return slices.ContainsFunc(o.def.Tasks, func(t definition.Task) bool {
		asks := t.TriggerRule == definition.OneFailed || t.TriggerRule == definition.AllFailed
		return asks && slices.Contains(t.Needs, name) && o.at[t.ID] == tasks.Completed
	})
}

// reopen says what a retry runs again, in the order of declaration, and enters it.
func (o *oracle) reopen(from string) (names []string) {
	chosen, behind := map[string]bool{}, map[string]bool{} // behind: the named task, and what follows from it
	if o.at[from] != tasks.Completed {
		for _, name := range o.def.Order() {
			t, _ := o.def.Task(name)
			after := func(set map[string]bool) bool {
				return slices.ContainsFunc(t.Needs, func(need string) bool { return set[need] })
			}
			behind[name] = name == from || after(behind)
			switch o.at[name] {
			case tasks.Failed, tasks.Abandoned:
				chosen[name] = from == "" || behind[name]
			case tasks.Skipped:
				chosen[name] = behind[name] || after(chosen)
			}
		}
	}
	for _, t := range o.def.Tasks {
		if chosen[t.ID] {
			names = append(names, t.ID)
		}
	}
	for _, name := range names {
		o.at[name], o.failures[name] = tasks.NotStarted, 0
	}
	o.follow()
	return names
}

// check compares the rows with the oracle.
func (s *store) check(t *rapid.T, after string) {
	o := s.oracle
	o.follow()
	got, remaining, wantRemaining, queued := map[string]tasks.Status{}, map[string]int{}, map[string]int{}, map[string]bool{}
	open, unsuccessful := 0, 0
	for i := range o.def.Tasks {
		d := &o.def.Tasks[i]
		row := s.rows[d.ID]
		got[d.ID], remaining[d.ID], wantRemaining[d.ID] = row.Status, row.RemainingDependencies, o.open(d)
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
		fmt.Fprintf(&b, "%s needs %v, rule %s, if %q: %s, want %s\n", t.ID, t.Needs, t.TriggerRule, t.If, s.rows[t.ID].Status, s.oracle.at[t.ID])
	}
	return b.String()
}
