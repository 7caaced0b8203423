// Package inspect answers questions about runs, tasks, workers and the database for the command line and other
// interfaces: what became of each attempt, why a task is not running, which workers there are and what they do, whether
// the database is in order, and what an event means in words. It changes nothing. Except ReadWorkers, WorkerViews and
// Doctor, which read the database, it works on rows and events that it is given.
package inspect

import (
	"slices"

	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Run is an execution with its tasks and its history, all as of one moment.
type Run struct {
	Execution pipelines.Execution
	Tasks     []tasks.Task
	Past      *history.Past
}

// Attempt is one run of a task's handler, with what it wrote.
type Attempt struct {
	TaskName string `json:"id"`
	history.Attempt
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
}

// Attempts returns the attempts in the order of the tasks, with their output. An attempt whose history retention has
// removed is in the list only if it has output, and then has no status.
func (r *Run) Attempts(logs []taskstore.Log) []Attempt {
	type key struct {
		task    dbtype.ID
		attempt int
	}
	written := map[key]taskstore.Log{}
	for _, l := range logs {
		written[key{l.TaskExecutionID, l.Attempt}] = l
	}
	out := []Attempt{}
	for _, t := range r.Tasks {
		known := r.Past.Task(t.ID).Attempts
		for n := 1; n <= t.Attempt; n++ {
			l, hasLog := written[key{t.ID, n}]
			a := known[n]
			if a == nil && !hasLog {
				continue // retention has removed its history
			}
			if a == nil {
				a = &history.Attempt{Number: n}
			}
			out = append(out, Attempt{t.TaskName, *a, l.Stdout, l.Stderr})
		}
	}
	return out
}

// FirstStart returns when the first task started, or the zero time if none has. If retention has removed the history,
// it uses the rows.
func (r *Run) FirstStart() (first dbtype.Time) {
	earlier := func(t dbtype.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first.Time)) {
			first = t
		}
	}
	for _, t := range r.Tasks {
		earlier(t.StartedAt)
		for _, a := range r.Past.Task(t.ID).Attempts {
			earlier(a.StartedAt)
		}
	}
	return first
}

// EndedLogs returns the logs of attempts that have ended. It changes the list.
func (r *Run) EndedLogs(logs []taskstore.Log) []taskstore.Log {
	return slices.DeleteFunc(logs, func(l taskstore.Log) bool {
		a := r.Past.Task(l.TaskExecutionID).Attempts[l.Attempt]
		return a == nil || a.EndedAt.IsZero()
	})
}

// Needs returns the names of the tasks that each task needs, by the id of the task. Tasks without a history are not in
// it.
func (r *Run) Needs() map[dbtype.ID][]string {
	out := make(map[dbtype.ID][]string, len(r.Tasks))
	for _, t := range r.Tasks {
		if needs := r.Past.Task(t.ID).Needs; needs != nil {
			out[t.ID] = needs
		}
	}
	return out
}
