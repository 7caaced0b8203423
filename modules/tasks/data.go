package tasks

import (
	"encoding/json"

	"github.com/sluiceworks/sluice/platform/db"
)

// Causes of a reset.
const (
	CauseLeaseExpired = "lease_expired"
	CauseOperator     = "operator"
)

// list is names as a JSON array, so that data which holds one can be compared.
type list string

func listOf(names []string) list {
	if len(names) == 0 {
		return "[]"
	}
	doc, err := json.Marshal(names)
	if err != nil {
		panic(err) // names are text
	}
	return list(doc)
}

// MarshalJSON gives the array.
func (l list) MarshalJSON() ([]byte, error) { return []byte(l), nil }

// The data of each event (docs/events.md). All of it can be compared.
type (
	createdData struct {
		TaskName     string   `json:"task_name"`
		Handler      string   `json:"handler"`
		Queue        string   `json:"queue"`
		Priority     Priority `json:"priority"`
		Dependencies list     `json:"dependencies"`
		TriggerRule  string   `json:"trigger_rule"`
		MaxAttempts  int      `json:"max_attempts"`
	}
	readyData struct {
		AvailableAt db.Time `json:"available_at"`
	}
	claimedData struct {
		Attempt        int     `json:"attempt"`
		LeaseExpiresAt db.Time `json:"lease_expires_at"`
	}
	resumedData struct {
		DeferredFor int64 `json:"deferred_for"` // milliseconds
	}
	startedData struct {
		Attempt int `json:"attempt"`
	}
	deferredData struct {
		Attempt  int     `json:"attempt"`
		ResumeAt db.Time `json:"resume_at"`
		Reason   string  `json:"reason"`
	}
	completedData struct {
		Attempt    int   `json:"attempt"`
		DurationMS int64 `json:"duration_ms"`
	}
	retryData struct {
		Attempt     int       `json:"attempt"`
		NextAttempt int       `json:"next_attempt"`
		Error       string    `json:"error"`
		ErrorKind   ErrorKind `json:"error_kind"`
		DelayMS     int64     `json:"delay_ms"`
		RetryAt     db.Time   `json:"retry_at"`
	}
	failedData struct {
		Attempt    int       `json:"attempt"`
		Error      string    `json:"error"`
		ErrorKind  ErrorKind `json:"error_kind"`
		DurationMS int64     `json:"duration_ms"`
	}
	skippedData struct {
		Reason string `json:"reason"`
		Rule   string `json:"rule"`
	}
	resetData struct {
		Cause       string   `json:"cause"`
		Worker      db.Text  `json:"worker"` // who lost it
		Recoveries  int      `json:"recoveries"`
		Reason      string   `json:"reason,omitempty"`
		MaxAttempts int      `json:"max_attempts,omitempty"`
		AvailableAt *db.Time `json:"available_at,omitempty"`
	}
	endedData struct {
		Reason string  `json:"reason"`
		Worker db.Text `json:"worker"` // who had it
	}
)
