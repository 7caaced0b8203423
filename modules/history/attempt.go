package history

import (
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Attempt is one run of a task's handler. A deferral and the claim after it belong to the same attempt.
type Attempt struct {
	Number int `json:"attempt"` // counts from 1
	// Status is Running, Completed, Failed, Deferred, Lost (with its worker), Released (by its worker), Skipped,
	// Abandoned or Cancelled.
	Status    string      `json:"status"`
	WorkerID  dbtype.Text `json:"worker_id"`  // of its last claim
	StartedAt dbtype.Time `json:"started_at"` // when it was first claimed
	EndedAt   dbtype.Time `json:"ended_at"`   // null while it runs
	Error     dbtype.Text `json:"error"`      // why it did not complete; null if it did
	ErrorKind dbtype.Text `json:"error_kind"` // null if Error has no kind
	ExitCode  *int        `json:"exit_code"`  // of its command; null if no command ran to its end
}

// TaskRecord holds what the events of a task say and neither its row nor its segments hold.
type TaskRecord struct {
	Needs           []string // names of the tasks that it needs
	ContinueOnError bool     // its failure does not make the pipeline fail
	Last            events.Event
	Attempts        map[int]*Attempt // by number
	Current         *Attempt         // the last one; nil if there is none
}

// record applies an event. It returns an error if the data of the event cannot be decoded, and then changes nothing.
func (r *TaskRecord) record(e *events.Event) error {
	data, err := tasks.DecodeEvent(e.EventType, e.EventData)
	if err != nil {
		return fmt.Errorf("event %d: read its data: %w", e.SequenceNum, err)
	}
	r.Last = *e
	a, how := r.Current, result(e.EventType, false)
	switch d := data.(type) {
	case tasks.CreatedData:
		r.Needs, r.ContinueOnError = d.Dependencies.Names(), d.ContinueOnError
	case tasks.ClaimedData:
		r.claim(e, d.Attempt)
	case tasks.CompletedData:
		a.end(how, e, "", "")
		a.exit(d.ExitCode)
	case tasks.RetryScheduledData:
		a.end(how, e, d.Error, d.ErrorKind)
		a.exit(d.ExitCode)
	case tasks.FailedData:
		a.end(how, e, d.Error, d.ErrorKind)
		a.exit(d.ExitCode)
	case tasks.SkippedRunningData:
		a.end(string(tasks.Skipped), e, "", "")
		a.exit(d.ExitCode)
	case tasks.SkippedData:
		a.end(string(tasks.Skipped), e, "", "")
		a.exit("")
	case tasks.DeferredData:
		a.end(how, e, "", "")
	case tasks.EndedData:
		a.end(how, e, d.Reason, "")
	case tasks.ResetData:
		if d.Cause == tasks.CauseLeaseExpired {
			a.end(ResultWorkerLost, e, "its worker was lost", "")
		} else {
			a.end(ResultReleased, e, d.Reason, "")
		}
	}
	return nil
}

// claim begins an attempt, or continues it after a deferral.
func (r *TaskRecord) claim(e *events.Event, number int) {
	a := r.Attempts[number]
	if a == nil {
		a = &Attempt{Number: number, StartedAt: e.CreatedAt}
		if r.Attempts == nil {
			r.Attempts = map[int]*Attempt{}
		}
		r.Attempts[number] = a
	}
	a.Status, a.WorkerID, a.EndedAt = string(tasks.Running), e.WorkerID, dbtype.Time{}
	r.Current = a
}

// end records how a running attempt ended. Events after the end are not about the attempt.
func (a *Attempt) end(status string, e *events.Event, text string, kind tasks.ErrorKind) {
	if a == nil || a.Status != string(tasks.Running) {
		return
	}
	a.Status, a.EndedAt, a.Error, a.ErrorKind = status, e.CreatedAt, dbtype.Text(text), dbtype.Text(kind)
}

func (a *Attempt) exit(code tasks.ExitCode) {
	if a != nil {
		a.ExitCode = code.Int()
	}
}
