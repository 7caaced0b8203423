package tasks

import (
	"context"
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
)

// FirstStartedAt is when the handler was first started since a task was made ready or an attempt of it failed; see
// Call. The history knows, so that no transition has to write it: only handlers that wait ask.
func (r *Repository) FirstStartedAt(ctx context.Context, t Task) (db.Time, error) {
	at, err := r.events.FirstAfter(ctx, t.PipelineExecutionID, t.ID, events.TaskStarted, events.TaskMarkedReady, events.TaskRetryScheduled)
	if err == nil && at.IsZero() {
		err = fmt.Errorf("task %s has not been started", t.ID)
	}
	return at, err
}
