package app

import (
	"cmp"
	"slices"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// attempt is one run of a task's handler, from the history and the logs.
type attempt struct {
	TaskName string `json:"id"`
	Attempt  int    `json:"attempt"`
	// Status is Running, Completed, Failed, Deferred, Lost (with its worker), Released (by its worker), Skipped,
	// Abandoned or Cancelled.
	Status    string      `json:"status"`
	WorkerID  dbtype.Text `json:"worker_id"`
	StartedAt dbtype.Time `json:"started_at"`
	EndedAt   dbtype.Time `json:"ended_at"`
	Error     dbtype.Text `json:"error"`
	ErrorKind dbtype.Text `json:"error_kind"`
	ExitCode  *int        `json:"exit_code"` // of its command; null if no command ran to its end
	Stdout    string      `json:"stdout"`
	Stderr    string      `json:"stderr"`
}

// attemptKey identifies one attempt of one task.
type attemptKey struct {
	task    dbtype.ID
	attempt int
}

// attemptHistory is what the events of one execution say about its tasks.
type attemptHistory struct {
	attempts  map[attemptKey]*attempt
	current   map[dbtype.ID]*attempt // the last of each task
	needs     map[dbtype.ID][]string
	continues map[dbtype.ID]bool         // tasks whose failure does not make the run fail
	last      map[dbtype.ID]events.Event // of each task, without annotations
	paused    events.Event               // the last pipeline_paused
	cancelled events.Event               // the last pipeline_cancelled
	truncated bool                       // retention has removed events
}

// readHistory reads the events in the order of their versions, which in PostgreSQL is not that of their numbers.
func readHistory(list []events.Event, truncated bool) (*attemptHistory, error) {
	h := &attemptHistory{
		attempts: map[attemptKey]*attempt{}, current: map[dbtype.ID]*attempt{}, needs: map[dbtype.ID][]string{}, continues: map[dbtype.ID]bool{}, last: map[dbtype.ID]events.Event{},
		truncated: truncated,
	}
	steps := slices.DeleteFunc(slices.Clone(list), func(e events.Event) bool { return e.Version == nil })
	slices.SortStableFunc(steps, func(a, b events.Event) int { return cmp.Compare(*a.Version, *b.Version) })
	for _, e := range steps {
		if e.EventType == events.PipelinePaused {
			h.paused = e
		}
		if e.EventType == events.PipelineCancelled {
			h.cancelled = e
		}
		if e.TaskExecutionID.IsZero() {
			continue
		}
		d, err := dataOf(e)
		if err != nil {
			return nil, err
		}
		h.last[e.TaskExecutionID] = e
		h.step(e, d)
	}
	return h, nil
}

func (h *attemptHistory) step(e events.Event, d eventData) {
	id := e.TaskExecutionID
	a := h.current[id]
	switch e.EventType {
	case events.TaskCreated:
		h.needs[id], h.continues[id] = d.Dependencies, d.Continues
	case events.TaskClaimed:
		key := attemptKey{id, d.Attempt}
		if a = h.attempts[key]; a == nil {
			a = &attempt{Attempt: d.Attempt, StartedAt: e.CreatedAt}
			h.attempts[key] = a
		}
		a.Status, a.WorkerID, a.EndedAt = string(tasks.Running), e.WorkerID, dbtype.Time{}
		h.current[id] = a
	case events.TaskCompleted:
		a.end(string(tasks.Completed), e, "", "")
		a.exited(d)
	case events.TaskFailed, events.TaskRetryScheduled:
		a.end(string(tasks.Failed), e, d.Error, d.ErrorKind)
		a.exited(d)
	case events.TaskSkipped:
		a.end(string(tasks.Skipped), e, "", "")
		a.exited(d)
	case events.TaskDeferred:
		a.end(string(tasks.Deferred), e, "", "")
	case events.TaskAbandoned:
		a.end(string(tasks.Abandoned), e, d.Reason, "")
	case events.TaskCancelled:
		a.end(string(tasks.Cancelled), e, d.Reason, "")
	case events.TaskReset:
		if d.Cause == tasks.CauseLeaseExpired {
			a.end("Lost", e, "its worker was lost", "")
		} else {
			a.end("Released", e, d.Reason, "")
		}
	}
}

// end records how a running attempt ended. Events after the end are not about the attempt.
func (a *attempt) end(status string, e events.Event, text, kind string) {
	if a == nil || a.Status != string(tasks.Running) {
		return
	}
	a.Status, a.EndedAt, a.Error, a.ErrorKind = status, e.CreatedAt, dbtype.Text(text), dbtype.Text(kind)
}

func (a *attempt) exited(d eventData) {
	if a != nil {
		a.ExitCode = d.ExitCode
	}
}

// list returns the attempts in the order of the tasks, with their output.
func (h *attemptHistory) list(all []tasks.Task, logs []taskstore.Log) []attempt {
	written := map[attemptKey]taskstore.Log{}
	for _, l := range logs {
		written[attemptKey{l.TaskExecutionID, l.Attempt}] = l
	}
	out := []attempt{}
	for _, t := range all {
		for n := 1; n <= t.Attempt; n++ {
			key := attemptKey{t.ID, n}
			l, hasLog := written[key]
			a := h.attempts[key]
			if a == nil && !hasLog {
				continue // retention has removed its history
			}
			if a == nil {
				a = &attempt{Attempt: n}
			}
			a.TaskName, a.Stdout, a.Stderr = t.TaskName, l.Stdout, l.Stderr
			out = append(out, *a)
		}
	}
	return out
}

// firstStart returns when the first task started, or the zero time if none has. If retention has removed the history,
// it uses the rows.
func (h *attemptHistory) firstStart(all []tasks.Task) (first dbtype.Time) {
	earlier := func(t dbtype.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first.Time)) {
			first = t
		}
	}
	for _, a := range h.attempts {
		earlier(a.StartedAt)
	}
	for _, t := range all {
		earlier(t.StartedAt)
	}
	return first
}

// ended returns the logs of attempts that have ended.
func (h *attemptHistory) ended(logs []taskstore.Log) []taskstore.Log {
	return slices.DeleteFunc(logs, func(l taskstore.Log) bool {
		a := h.attempts[attemptKey{l.TaskExecutionID, l.Attempt}]
		return a == nil || a.EndedAt.IsZero()
	})
}
