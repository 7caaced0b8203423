package tasks

import (
	"context"

	"github.com/sluiceworks/sluice/platform/db"
)

// Find returns the tasks with the given ids, without their outputs. It uses no transaction. Ids that do not exist are
// omitted.
func (r *Repository) Find(ctx context.Context, ids []db.ID) (map[db.ID]Task, error) {
	var list []Task
	err := r.db.Query(ctx, `SELECT `+fields+` FROM $x JOIN {task_executions} AS t ON t.id = x.id`, db.Args{"x": db.IDRows(ids)}, scanInto(&list))
	out := make(map[db.ID]Task, len(list))
	for _, t := range list {
		out[t.ID] = t
	}
	return out, wrap("find tasks", err)
}

// ListRunning returns the Running tasks, without their outputs, the longest-running first. It scans the tasks of all
// open executions: an index on the status would make every transition slower, and this query is rare.
func (r *Repository) ListRunning(ctx context.Context) ([]Task, error) {
	list := []Task{}
	err := r.db.Query(ctx, `SELECT `+fields+` FROM `+openTasks+` AND t.status = 'Running' ORDER BY t.started_at, t.id`, nil, scanInto(&list))
	return list, wrap("list running tasks", err)
}
