package tasks

import (
	"errors"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ErrNotFound means that a task execution does not exist.
var ErrNotFound = errors.New("no such task execution")

// Key identifies a task within a pipeline execution.
type Key struct {
	PipelineExecutionID dbtype.ID
	TaskName            string
}

// DependencyCount is the number to subtract from a task's remaining dependencies. A negative number reopens
// dependencies.
type DependencyCount struct {
	ID    dbtype.ID
	Ended int
}
