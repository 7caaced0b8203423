package history

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Run is one execution and what is known about it.
type Run struct {
	Execution pipelines.Execution
	Tasks     []tasks.Task
	Timeline  *Timeline // nil: its history no longer exists

	// Outputs reads the outputs of tasks by id, for tasks that have none in Tasks. It is nil if Tasks have their
	// outputs.
	Outputs func(ids []dbtype.ID) (map[dbtype.ID]dbtype.JSON, error)
}

// withOutputs returns tasks with their outputs.
func (r *Run) withOutputs(list []tasks.Task) ([]tasks.Task, error) {
	if r.Outputs == nil {
		return list, nil
	}
	ids := make([]dbtype.ID, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	found, err := r.Outputs(ids)
	if err != nil {
		return nil, err
	}
	list = slices.Clone(list)
	for i := range list {
		list[i].Output = found[list[i].ID]
	}
	return list, nil
}

// Comparison is how two runs differ.
type Comparison struct {
	Differences []Difference // of the executions, then of the tasks in the order of creation
	Durations   []TaskTime   // largest difference first; none if a timeline is missing
	Critical    []KindTime   // of the critical paths, and so of the runs
}

// Difference is a value that differs. A side without the value is nil.
type Difference struct {
	TaskName dbtype.Text `json:"id"` // null: of the execution
	// Field is a column, with .key for a part of a document. It is "task" if only one run has the task, with this
	// status.
	Field  string `json:"field"`
	First  any    `json:"first"`
	Second any    `json:"second"`
}

// TaskTime is how long a task took in both runs, from being ready to its end, in milliseconds. It is null for a run
// without the task.
type TaskTime struct {
	TaskName string `json:"id"`
	Pair
	Kinds []KindTime `json:"kinds"` // all kinds that occur, including waiting for dependencies
}

// KindTime is how long a task or a path was of a kind in both runs.
type KindTime struct {
	Kind Kind `json:"kind"`
	Pair
}

// Pair is two durations and their difference in milliseconds: second minus first. A missing duration counts as 0.
type Pair struct {
	FirstMS  *int64 `json:"first_ms"`
	SecondMS *int64 `json:"second_ms"`
	DeltaMS  int64  `json:"delta_ms"`
}

func pair(first, second *time.Duration) Pair {
	var p Pair
	if first != nil {
		ms := first.Milliseconds()
		p.FirstMS, p.DeltaMS = &ms, -ms
	}
	if second != nil {
		ms := second.Milliseconds()
		p.SecondMS = &ms
		p.DeltaMS += ms
	}
	return p
}

// Compare returns how the second run differs from the first. Tasks are matched by name. It returns errors of
// Run.Outputs.
func Compare(first, second Run) (Comparison, error) {
	c := Comparison{
		Differences: compareExecutions(first.Execution, second.Execution), Durations: []TaskTime{},
		Critical: []KindTime{},
	}
	in1, in2 := byName(first.Tasks), byName(second.Tasks)
	for part := range slices.Chunk(first.Tasks, tasks.OutputsAtOnce) {
		list, err := compareParts(&first, &second, part, in2)
		if err != nil {
			return c, err
		}
		c.Differences = append(c.Differences, list...)
	}
	for _, t := range second.Tasks {
		if _, ok := in1[t.TaskName]; !ok {
			c.Differences = append(c.Differences, Difference{dbtype.Text(t.TaskName), "task", nil, t.Status})
		}
	}
	if first.Timeline != nil && second.Timeline != nil {
		c.Durations = compareTimes(first.Timeline, second.Timeline)
		c.Critical = compareSpent(first.Timeline.Spent, second.Timeline.Spent)
	}
	return c, nil
}

// compareParts compares some tasks of the first run with the tasks of the same names in the second.
func compareParts(first, second *Run, part []tasks.Task, in2 map[string]tasks.Task) (list []Difference, err error) {
	others := make([]tasks.Task, 0, len(part))
	for _, t := range part {
		if other, ok := in2[t.TaskName]; ok {
			others = append(others, other)
		}
	}
	if part, err = first.withOutputs(part); err != nil {
		return nil, err
	}
	if others, err = second.withOutputs(others); err != nil {
		return nil, err
	}
	matched := byName(others)
	for _, t := range part {
		if other, ok := matched[t.TaskName]; ok {
			list = append(list, compareTasks(t, other)...)
		} else {
			list = append(list, Difference{dbtype.Text(t.TaskName), "task", t.Status, nil})
		}
	}
	return list, nil
}

func byName(list []tasks.Task) map[string]tasks.Task {
	out := make(map[string]tasks.Task, len(list))
	for _, t := range list {
		out[t.TaskName] = t
	}
	return out
}

func compareExecutions(a, b pipelines.Execution) []Difference {
	d := differences{list: []Difference{}}
	d.text("pipeline", a.PipelineName, b.PipelineName)
	d.text("definition_version", a.DefinitionVersion, b.DefinitionVersion)
	d.text("status", string(a.Status), string(b.Status))
	d.text("error", string(a.Error), string(b.Error))
	d.document("input", a.Input, b.Input)
	return d.list
}

func compareTasks(a, b tasks.Task) []Difference {
	d := differences{task: dbtype.Text(a.TaskName)}
	d.text("uses", a.Handler, b.Handler)
	d.text("status", string(a.Status), string(b.Status))
	d.number("attempt", a.Attempt, b.Attempt)
	d.number("recoveries", a.Recoveries, b.Recoveries)
	d.text("error", string(a.Error), string(b.Error))
	d.document("output", a.Output, b.Output)
	return d.list
}

// compareTimes compares the tasks of both runs.
func compareTimes(first, second *Timeline) []TaskTime {
	list := make([]TaskTime, 0, len(first.Rows))
	other := map[string]TaskTimeline{}
	for _, r := range second.Rows {
		other[r.TaskName] = r
	}
	for _, r := range first.Rows {
		if s, ok := other[r.TaskName]; ok {
			list = append(list, timesOf(r.TaskName, &r, &s))
		} else {
			list = append(list, timesOf(r.TaskName, &r, nil))
		}
		delete(other, r.TaskName)
	}
	for _, r := range second.Rows {
		if _, left := other[r.TaskName]; left {
			list = append(list, timesOf(r.TaskName, nil, &r))
		}
	}
	slices.SortStableFunc(list, func(a, b TaskTime) int {
		return cmp.Or(cmp.Compare(max(b.DeltaMS, -b.DeltaMS), max(a.DeltaMS, -a.DeltaMS)),
			cmp.Compare(a.TaskName, b.TaskName))
	})
	return list
}

func timesOf(name string, first, second *TaskTimeline) TaskTime {
	sum := func(r *TaskTimeline, kinds ...Kind) *time.Duration {
		if r == nil {
			return nil
		}
		d := r.Of(kinds...)
		return &d
	}
	t := TaskTime{TaskName: name, Pair: pair(sum(first, own...), sum(second, own...)), Kinds: []KindTime{}}
	for _, k := range Kinds() {
		a, b := sum(first, k), sum(second, k)
		if a != nil && *a > 0 || b != nil && *b > 0 {
			t.Kinds = append(t.Kinds, KindTime{k, pair(a, b)})
		}
	}
	return t
}

func compareSpent(first, second []TimeByKind) []KindTime {
	list := []KindTime{}
	find := func(in []TimeByKind, k Kind) time.Duration {
		if i := slices.IndexFunc(in, func(s TimeByKind) bool { return s.Kind == k }); i >= 0 {
			return in[i].CriticalPath
		}
		return 0
	}
	for _, k := range Kinds() {
		if a, b := find(first, k), find(second, k); a > 0 || b > 0 {
			list = append(list, KindTime{k, pair(&a, &b)})
		}
	}
	return list
}
