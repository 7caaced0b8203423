package taskstore

import (
	"context"
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// FirstStartedAt returns when the handler was first started after the task was last made ready or last failed; see
// Attempt.FirstStarted. It returns an error if the task has not been started. It reads the events, because only
// handlers that wait need the time, and a column would be written by every claim.
func (r *Repository) FirstStartedAt(ctx context.Context, t tasks.Task) (dbtype.Time, error) {
	at, err := r.events.FirstAfter(ctx, t.PipelineExecutionID, t.ID, events.TaskStarted, events.TaskMarkedReady,
		events.TaskRetryScheduled)
	if err == nil && at.IsZero() {
		err = fmt.Errorf("task %s has not been started", t.ID)
	}
	return at, err
}
