package tasks

import (
	"database/sql/driver"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Status is the status of a task.
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

// Statuses returns all statuses, in the order of the lifecycle.
func Statuses() []Status {
	return []Status{NotStarted, Ready, Running, Completed, Failed, Skipped, Abandoned, Cancelled}
}

// Terminal reports whether the task has ended. Only an operator's retry changes a terminal status.
func (s Status) Terminal() bool {
	switch s {
	case Completed, Failed, Skipped, Abandoned, Cancelled:
		return true
	}
	return false
}

// SubStatus refines the status of a Running or a Ready task. It is empty (NULL) for other tasks.
type SubStatus string

// A Running task is Active. A Ready task that was deferred is Deferred.
const (
	NoSubStatus SubStatus = ""
	Active      SubStatus = "Active"
	Deferred    SubStatus = "Deferred"
)

// Value returns NULL for an empty value.
func (s SubStatus) Value() (driver.Value, error) { return dbtype.Text(s).Value() }

// Scan reads NULL as an empty value.
func (s *SubStatus) Scan(src any) error { return (*dbtype.Text)(s).Scan(src) }

// MarshalJSON returns null for an empty value.
func (s SubStatus) MarshalJSON() ([]byte, error) { return dbtype.Text(s).MarshalJSON() }

// SkipReason is the reason why a task is Skipped. It is empty (NULL) for other tasks.
type SkipReason string

// The reasons for skipping a task. For the trigger rules of its dependents, a task that was skipped because of an
// upstream failure counts as failed. A task that was skipped for another reason counts as skipped.
const (
	NoSkipReason       SkipReason = ""
	SkipUpstreamFailed SkipReason = "upstream_failed" // its trigger rule was false because of an upstream failure
	SkipTriggerRule    SkipReason = "trigger_rule"    // its trigger rule was false for another reason
	SkipCondition      SkipReason = "condition"       // its `if` was false
	SkipExitCode       SkipReason = "exit_code"       // its command ended with one of its skip_exit_codes
)

// Value returns NULL for an empty value.
func (s SkipReason) Value() (driver.Value, error) { return dbtype.Text(s).Value() }

// Scan reads NULL as an empty value.
func (s *SkipReason) Scan(src any) error { return (*dbtype.Text)(s).Scan(src) }

// MarshalJSON returns null for an empty value.
func (s SkipReason) MarshalJSON() ([]byte, error) { return dbtype.Text(s).MarshalJSON() }
