package tasks

import (
	"encoding/json"
	"strconv"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// The causes of a reset, in ResetData.
const (
	CauseLeaseExpired = "lease_expired" // the lease of its worker expired
	CauseOperator     = "operator"      // its worker released it, or an operator's retry reopened it
)

// NameList is a list of names, encoded as a JSON array. Unlike a slice it is comparable, so event data can be a map
// key.
type NameList string

// NameListOf returns the list of the given names.
func NameListOf(names []string) NameList {
	if len(names) == 0 {
		return "[]"
	}
	doc, err := json.Marshal(names)
	if err != nil {
		panic(err) // cannot happen: the names are strings
	}
	return NameList(doc)
}

// Names returns the names. It returns nil for an empty NameList, which is the value of an absent key.
func (l NameList) Names() []string {
	var names []string
	if l == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(l), &names); err != nil {
		panic(err) // cannot happen: NameListOf and UnmarshalJSON encoded it
	}
	return names
}

// MarshalJSON returns the array.
func (l NameList) MarshalJSON() ([]byte, error) { return []byte(l), nil }

// UnmarshalJSON reads an array of strings.
func (l *NameList) UnmarshalJSON(b []byte) error {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return err
	}
	*l = ""
	if names != nil {
		*l = NameListOf(names)
	}
	return nil
}

// ExitCode is the exit code of a command in decimal; empty if there is none. Unlike a pointer, it is comparable by
// value.
type ExitCode string

// ExitCodeOf returns the ExitCode of a number; nil means that there is none.
func ExitCodeOf(code *int) ExitCode {
	if code == nil {
		return ""
	}
	return ExitCode(strconv.Itoa(*code))
}

// Int returns the number, or nil if there is none.
func (c ExitCode) Int() *int {
	n, err := strconv.Atoi(string(c))
	if err != nil {
		return nil
	}
	return &n
}

// MarshalJSON returns the number, or null for an empty ExitCode.
func (c ExitCode) MarshalJSON() ([]byte, error) {
	if c == "" {
		return []byte("null"), nil
	}
	return []byte(c), nil
}

// UnmarshalJSON reads a whole number or null.
func (c *ExitCode) UnmarshalJSON(b []byte) error {
	var n *int
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*c = ExitCodeOf(n)
	return nil
}

// The data of the events of tasks, one type for each event, and two for task_skipped (docs/events.md). Times are those
// of the database. A key whose comment does not say that it may be absent is always there; histories of earlier
// versions may lack it, and its value is then the zero value. All types are comparable, because EventDataCache uses
// them as map keys.
type (
	// CreatedData is the data of task_created: the task as its pipeline defines it.
	CreatedData struct {
		TaskName     string   `json:"id"`
		Handler      string   `json:"uses"`
		Queue        string   `json:"queue"`
		Priority     Priority `json:"priority"`
		Dependencies NameList `json:"needs"` // the names of the tasks that it needs; may be empty
		TriggerRule  string   `json:"trigger_rule"`
		MaxAttempts  int      `json:"max_attempts"` // includes the first attempt

		// ContinueOnError says that the task's failure does not make the pipeline fail. Absent if false.
		ContinueOnError bool `json:"continue_on_error,omitempty"`
	}

	// ReadyData is the data of task_marked_ready.
	ReadyData struct {
		AvailableAt dbtype.Time `json:"available_at"` // no claim before this time
	}

	// ClaimedData is the data of task_claimed. The worker is the event's WorkerID.
	ClaimedData struct {
		Attempt        int         `json:"attempt"`          // counts from 1; the same as before after a deferral
		LeaseExpiresAt dbtype.Time `json:"lease_expires_at"` // of the worker, at the time of the claim
	}

	// ResumedData is the data of task_resumed, which follows the claim of a deferred task.
	ResumedData struct {
		DeferredFor int64 `json:"deferred_for"` // milliseconds since the deferral
	}

	// StartedData is the data of task_started.
	StartedData struct {
		Attempt int `json:"attempt"`
	}

	// DeferredData is the data of task_deferred.
	DeferredData struct {
		Attempt  int         `json:"attempt"`
		ResumeAt dbtype.Time `json:"resume_at"` // no claim before this time
		Reason   string      `json:"reason"`    // the handler's, for people; may be empty
	}

	// CompletedData is the data of task_completed. The output is in the task's row only.
	CompletedData struct {
		Attempt    int      `json:"attempt"`
		DurationMS int64    `json:"duration_ms"`         // milliseconds since the last claim
		ExitCode   ExitCode `json:"exit_code,omitempty"` // absent if the task ran no command
	}

	// RetryScheduledData is the data of task_retry_scheduled: an attempt failed, and another follows.
	RetryScheduledData struct {
		Attempt     int         `json:"attempt"` // the one that failed
		NextAttempt int         `json:"next_attempt"`
		Error       string      `json:"error"`
		ErrorKind   ErrorKind   `json:"error_kind"`
		DelayMS     int64       `json:"delay_ms"`            // milliseconds until RetryAt
		RetryAt     dbtype.Time `json:"retry_at"`            // no claim before this time
		ExitCode    ExitCode    `json:"exit_code,omitempty"` // absent if no command ended by itself
	}

	// FailedData is the data of task_failed: the last attempt failed.
	FailedData struct {
		Attempt    int       `json:"attempt"`
		Error      string    `json:"error"`
		ErrorKind  ErrorKind `json:"error_kind"`
		DurationMS int64     `json:"duration_ms"`         // milliseconds since the last claim
		ExitCode   ExitCode  `json:"exit_code,omitempty"` // absent if no command ended by itself
	}

	// SkippedData is the data of task_skipped for a task that was not started.
	SkippedData struct {
		Reason SkipReason `json:"reason"`
		Rule   string     `json:"rule"`   // the task's trigger rule
		Detail string     `json:"detail"` // for people
	}

	// SkippedRunningData is the data of task_skipped for a running task whose command ended with one of its
	// skip_exit_codes. Reason is SkipExitCode.
	SkippedRunningData struct {
		SkippedData
		Attempt    int      `json:"attempt"` // at least 1, and absent from SkippedData
		ExitCode   ExitCode `json:"exit_code"`
		DurationMS int64    `json:"duration_ms"` // milliseconds since the last claim
	}

	// ResetData is the data of task_reset: a running task became Ready again, or an operator's retry reopened a task.
	ResetData struct {
		Cause       string      `json:"cause"`                  // CauseLeaseExpired or CauseOperator
		Worker      dbtype.Text `json:"worker"`                 // the worker that had the task; null if none had
		Recoveries  int         `json:"recoveries"`             // how many attempts were lost with their workers
		Reason      string      `json:"reason,omitempty"`       // why its worker released it; absent if none did
		MaxAttempts int         `json:"max_attempts,omitempty"` // the new number; absent after an expired lease
		AvailableAt dbtype.Time `json:"available_at,omitzero"`  // no claim before this time; absent if not Ready
	}

	// EndedData is the data of task_abandoned and task_cancelled.
	EndedData struct {
		Reason string      `json:"reason"`
		Worker dbtype.Text `json:"worker"` // the worker that had the task; null if none had
		// ErrorKind is the kind of error that Reason is. Absent if Reason is not an error.
		ErrorKind ErrorKind `json:"error_kind,omitempty"`
	}
)

// DecodeEvent decodes the data of an event of the given type. It returns a value of the type above that belongs to the
// event, such as ClaimedData, or nil if the type is not an event of a task. It does not check that all keys are there.
func DecodeEvent(t events.Type, data []byte) (any, error) {
	switch t {
	case events.TaskCreated:
		return decode[CreatedData](data)
	case events.TaskMarkedReady:
		return decode[ReadyData](data)
	case events.TaskClaimed:
		return decode[ClaimedData](data)
	case events.TaskResumed:
		return decode[ResumedData](data)
	case events.TaskStarted:
		return decode[StartedData](data)
	case events.TaskDeferred:
		return decode[DeferredData](data)
	case events.TaskCompleted:
		return decode[CompletedData](data)
	case events.TaskRetryScheduled:
		return decode[RetryScheduledData](data)
	case events.TaskFailed:
		return decode[FailedData](data)
	case events.TaskSkipped:
		d, err := decode[SkippedRunningData](data)
		if running, ok := d.(SkippedRunningData); ok && running.Attempt == 0 {
			return running.SkippedData, nil
		}
		return d, err
	case events.TaskReset:
		return decode[ResetData](data)
	case events.TaskAbandoned, events.TaskCancelled:
		return decode[EndedData](data)
	}
	return nil, nil
}

// decode returns the document as a D. D must be comparable, as EventDataCache requires.
func decode[D comparable](data []byte) (any, error) {
	var d D
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	return d, nil
}
