package taskstore

import (
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// OutboxEntry returns the outbox row of a task, which becomes due at the given time.
func OutboxEntry(t *tasks.Task, at dbtype.Time) outbox.Entry {
	return outbox.Entry{
		TaskExecutionID: t.ID, PipelineExecutionID: t.PipelineExecutionID, Handler: t.Handler, Queue: t.Queue,
		Lane:        outbox.LaneOf(t.Priority),
		AvailableAt: at,
	}
}
