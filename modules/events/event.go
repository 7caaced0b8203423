// Package events holds the types of the history: one event for each transition of a task or a pipeline, and
// annotations. Package eventstore stores and reads them.
package events

import (
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Event is one row of the history. docs/events.md says what each type holds.
type Event struct {
	SequenceNum         int64       `json:"sequence_num" gorm:"autoIncrement"` // in PostgreSQL not the order of commits
	ID                  dbtype.ID   `json:"id"`
	PipelineExecutionID dbtype.ID   `json:"pipeline_execution_id"`
	TaskExecutionID     dbtype.ID   `json:"task_execution_id"` // null for the pipeline's own events
	EventType           Type        `json:"event_type"`
	Version             *int64      `json:"version"` // of the row after the transition; null: annotation
	EventData           dbtype.JSON `json:"event_data"`
	WorkerID            dbtype.Text `json:"worker_id"` // the worker that acted
	Actor               dbtype.Text `json:"actor"`     // who asked: an operator, a schedule, a key
	CreatedAt           dbtype.Time `json:"created_at"`
}
