package inspect

import (
	"cmp"
	"slices"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Failure is a task that failed or was abandoned.
type Failure struct {
	TaskName        string       `json:"id"`
	Status          tasks.Status `json:"status"`
	Attempt         int          `json:"attempt"`
	Error           dbtype.Text  `json:"error"` // its most informative line
	ErrorKind       dbtype.Text  `json:"error_kind"`
	ExitCode        *int         `json:"exit_code"`
	ContinueOnError bool         `json:"continue_on_error"` // its failure does not make the run fail
	Root            bool         `json:"root"`              // nothing upstream has failed

	Task tasks.Task `json:"-"`
}

// Failures returns the tasks that failed. Tasks that make the run fail come first, and among them those without a
// failed task upstream. Otherwise they are in the order in which they ended.
func (r *Run) Failures() []Failure {
	below := r.belowFailures()
	list := []Failure{}
	for _, t := range r.Tasks {
		if !failed(t) {
			continue
		}
		known := r.Past.Task(t.ID)
		f := Failure{
			TaskName: t.TaskName, Status: t.Status, Attempt: t.Attempt,
			Error:           dbtype.Text(ErrorLine(string(t.Error), 500)),
			ContinueOnError: known.ContinueOnError, Root: !below(t), Task: t,
		}
		if a := known.Current; a != nil {
			f.ErrorKind, f.ExitCode = a.ErrorKind, a.ExitCode
		}
		list = append(list, f)
	}
	number := map[bool]int{true: 1}
	slices.SortStableFunc(list, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(number[a.ContinueOnError], number[b.ContinueOnError]),
			cmp.Compare(number[b.Root], number[a.Root]), a.Task.CompletedAt.Compare(b.Task.CompletedAt.Time))
	})
	return list
}

func failed(t tasks.Task) bool { return t.Status == tasks.Failed || t.Status == tasks.Abandoned }

// belowFailures returns a function that reports whether a task has a failed task upstream.
func (r *Run) belowFailures() func(tasks.Task) bool {
	byName := make(map[string]tasks.Task, len(r.Tasks))
	for _, t := range r.Tasks {
		byName[t.TaskName] = t
	}
	below := map[string]bool{} // by name
	var visit func(t tasks.Task) bool
	visit = func(t tasks.Task) bool {
		known, seen := below[t.TaskName]
		if seen {
			return known
		}
		below[t.TaskName] = false
		for _, need := range r.Past.Task(t.ID).Needs {
			if above, ok := byName[need]; ok && (visit(above) || failed(above)) {
				below[t.TaskName] = true
			}
		}
		return below[t.TaskName]
	}
	return visit
}
