// Package events stores the history: one row for each transition of a task or a pipeline, written in the transition's
// own transaction. It appends and reads events. It never changes an event; only retention removes events.
package events

import (
	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/platform/db"
)

// Event is one row of the history. docs/events.md says what each type holds.
type Event struct {
	SequenceNum         int64   `json:"sequence_num"` // ascending; in PostgreSQL not the order of commits
	ID                  db.ID   `json:"id"`
	PipelineExecutionID db.ID   `json:"pipeline_execution_id"`
	TaskExecutionID     db.ID   `json:"task_execution_id"` // null for the pipeline's own events
	EventType           Type    `json:"event_type"`
	Version             *int64  `json:"version"` // of the task or pipeline after the transition; null for an annotation
	EventData           db.JSON `json:"event_data"`
	WorkerID            db.Text `json:"worker_id"` // the worker that acted
	Actor               db.Text `json:"actor"`     // who asked: an operator, a schedule, a key
	CreatedAt           db.Time `json:"created_at"`
}

// TableName returns the table's name in the tenant's schema.
func (Event) TableName(n schema.Namer) string { return n.TableName("execution_events") }
