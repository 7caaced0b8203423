package engine

import (
	"context"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// SaveLogs stores output of attempts, in its own transaction. It checks no claims, because output is stored however the
// attempt ended. Output of deleted tasks is dropped.
func (e *Engine) SaveLogs(ctx context.Context, list []tasks.Written) error {
	return e.db.Write(ctx, func(b *db.Batch) error {
		e.tasks.WriteLateChunks(b, list)
		return nil
	})
}
