package pipelines

import (
	"context"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// SaveLogs stores what attempts have written, in a transaction of its own, whatever became of them: output is no state,
// so no claim is checked. What belongs to a task that has been removed is dropped.
func (e *Engine) SaveLogs(ctx context.Context, list []tasks.Written) error {
	return e.db.Transaction(ctx, func(tx db.Tx) error { return e.tasks.WriteLateChunks(tx, list) })
}
