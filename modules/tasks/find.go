package tasks

import (
	"context"

	"github.com/sluiceworks/sluice/platform/db"
)

// Find reads tasks by id outside any transaction, without their outputs. Ids that do not exist are left out.
func (r *Repository) Find(ctx context.Context, ids []db.ID) (map[db.ID]Task, error) {
	var list []Task
	err := r.db.Query(ctx, `SELECT `+fields+` FROM $x JOIN {task_executions} AS t ON t.id = x.id`, db.Args{"x": db.IDRows(ids)}, scanInto(&list))
	out := make(map[db.ID]Task, len(list))
	for _, t := range list {
		out[t.ID] = t
	}
	return out, wrap("find tasks", err)
}

// ListRunning reads the tasks that run now, without their outputs, longest running first. It looks through the open
// executions, for an index by status would cost every transition; people ask seldom.
func (r *Repository) ListRunning(ctx context.Context) ([]Task, error) {
	list := []Task{}
	err := r.db.Query(ctx, `SELECT `+fields+` FROM `+openTasks+` AND t.status = 'Running' ORDER BY t.started_at, t.id`, nil, scanInto(&list))
	return list, wrap("list running tasks", err)
}
