package tasks

import (
	"database/sql/driver"

	"github.com/sluiceworks/sluice/platform/db"
)

// Status is where a task stands.
type Status string

// The statuses of a task; the last five are terminal.
const (
	NotStarted Status = "NotStarted"
	Ready      Status = "Ready"
	Running    Status = "Running"
	Completed  Status = "Completed"
	Failed     Status = "Failed"
	Skipped    Status = "Skipped"
	Abandoned  Status = "Abandoned"
	Cancelled  Status = "Cancelled"
)

// Statuses lists every status, in the order of the lifecycle.
func Statuses() []Status {
	return []Status{NotStarted, Ready, Running, Completed, Failed, Skipped, Abandoned, Cancelled}
}

// Terminal reports whether nothing but an operator's retry moves a task on from s.
func (s Status) Terminal() bool {
	switch s {
	case Completed, Failed, Skipped, Abandoned, Cancelled:
		return true
	}
	return false
}

// SubStatus says more about a Running or a Ready task; it is empty (NULL) elsewhere.
type SubStatus string

// Active is a Running task's, Deferred a Ready one's that waits after a deferral.
const (
	NoSubStatus SubStatus = ""
	Active      SubStatus = "Active"
	Deferred    SubStatus = "Deferred"
)

// Value is NULL for none.
func (s SubStatus) Value() (driver.Value, error) { return db.Text(s).Value() }

// Scan reads NULL as none.
func (s *SubStatus) Scan(src any) error { return (*db.Text)(s).Scan(src) }

// MarshalJSON writes null for none.
func (s SubStatus) MarshalJSON() ([]byte, error) { return db.Text(s).MarshalJSON() }

// SkipReason says why a task is Skipped; it is empty (NULL) for any other.
type SkipReason string

// The reasons of a skip. A task that was skipped because of a failure above it counts as failed for the trigger rules
// of its dependents; one that was skipped for another reason counts as skipped.
const (
	NoSkipReason       SkipReason = ""
	SkipUpstreamFailed SkipReason = "upstream_failed" // its trigger rule did not hold because of a failure above it
	SkipTriggerRule    SkipReason = "trigger_rule"    // its trigger rule did not hold, for another reason
	SkipCondition      SkipReason = "condition"       // its `if` was false
	SkipExitCode       SkipReason = "exit_code"       // its command ended with one of its skip_exit_codes
)

// Value is NULL for none.
func (s SkipReason) Value() (driver.Value, error) { return db.Text(s).Value() }

// Scan reads NULL as none.
func (s *SkipReason) Scan(src any) error { return (*db.Text)(s).Scan(src) }

// MarshalJSON writes null for none.
func (s SkipReason) MarshalJSON() ([]byte, error) { return db.Text(s).MarshalJSON() }
