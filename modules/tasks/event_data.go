package tasks

import (
	"encoding/json"
	"strconv"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// The causes of a reset.
const (
	CauseLeaseExpired = "lease_expired"
	CauseOperator     = "operator"
)

// nameList is a list of names, encoded as a JSON array. Unlike a slice it is comparable, so event data can be a map key.
type nameList string

func listOf(names []string) nameList {
	if len(names) == 0 {
		return "[]"
	}
	doc, err := json.Marshal(names)
	if err != nil {
		panic(err) // cannot happen: the names are strings
	}
	return nameList(doc)
}

// MarshalJSON returns the array.
func (l nameList) MarshalJSON() ([]byte, error) { return []byte(l), nil }

// exitCode is the exit code of a command in decimal; empty if it is unknown. Unlike a pointer, it is comparable by
// value.
type exitCode string

func exitCodeOf(code *int) exitCode {
	if code == nil {
		return ""
	}
	return exitCode(strconv.Itoa(*code))
}

// MarshalJSON returns the number, or null for an empty exitCode.
func (c exitCode) MarshalJSON() ([]byte, error) {
	if c == "" {
		return []byte("null"), nil
	}
	return []byte(c), nil
}

// The data of each event (docs/events.md). All types are comparable, because encoded uses them as map keys.
type (
	createdEvent struct {
		TaskName     string   `json:"id"`
		Handler      string   `json:"uses"`
		Queue        string   `json:"queue"`
		Priority     Priority `json:"priority"`
		Dependencies nameList `json:"needs"`
		TriggerRule  string   `json:"trigger_rule"`
		MaxAttempts  int      `json:"max_attempts"`

		ContinueOnError bool `json:"continue_on_error,omitempty"`
	}
	readyEvent struct {
		AvailableAt dbtype.Time `json:"available_at"`
	}
	claimedEvent struct {
		Attempt        int         `json:"attempt"`
		LeaseExpiresAt dbtype.Time `json:"lease_expires_at"`
	}
	resumedEvent struct {
		DeferredFor int64 `json:"deferred_for"` // milliseconds
	}
	startedEvent struct {
		Attempt int `json:"attempt"`
	}
	deferredEvent struct {
		Attempt  int         `json:"attempt"`
		ResumeAt dbtype.Time `json:"resume_at"`
		Reason   string      `json:"reason"`
	}
	completedEvent struct {
		Attempt    int      `json:"attempt"`
		DurationMS int64    `json:"duration_ms"`
		ExitCode   exitCode `json:"exit_code,omitempty"`
	}
	retryEvent struct {
		Attempt     int         `json:"attempt"`
		NextAttempt int         `json:"next_attempt"`
		Error       string      `json:"error"`
		ErrorKind   ErrorKind   `json:"error_kind"`
		DelayMS     int64       `json:"delay_ms"`
		RetryAt     dbtype.Time `json:"retry_at"`
		ExitCode    exitCode    `json:"exit_code,omitempty"`
	}
	failedEvent struct {
		Attempt    int       `json:"attempt"`
		Error      string    `json:"error"`
		ErrorKind  ErrorKind `json:"error_kind"`
		DurationMS int64     `json:"duration_ms"`
		ExitCode   exitCode  `json:"exit_code,omitempty"`
	}
	skippedEvent struct {
		Reason SkipReason `json:"reason"`
		Rule   string     `json:"rule"`
		Detail string     `json:"detail"` // for people
	}
	// skippedRunningEvent is the data of the event of a task that was skipped by the exit code of its own command.
	skippedRunningEvent struct {
		skippedEvent
		Attempt    int      `json:"attempt"`
		ExitCode   exitCode `json:"exit_code"`
		DurationMS int64    `json:"duration_ms"`
	}
	resetEvent struct {
		Cause       string       `json:"cause"`
		Worker      dbtype.Text  `json:"worker"` // the worker that lost the task
		Recoveries  int          `json:"recoveries"`
		Reason      string       `json:"reason,omitempty"`
		MaxAttempts int          `json:"max_attempts,omitempty"`
		AvailableAt *dbtype.Time `json:"available_at,omitempty"`
	}
	endedEvent struct {
		Reason string      `json:"reason"`
		Worker dbtype.Text `json:"worker"` // the worker that held the task; empty if none
		// ErrorKind is set if Reason is an error.
		ErrorKind ErrorKind `json:"error_kind,omitempty"`
	}
)
