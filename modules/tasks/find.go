package tasks

import (
	"context"

	"sluice/platform/db"
)

// Find reads tasks by id outside any transaction, without their outputs. Ids that do not exist are left out.
func (r *Repository) Find(ctx context.Context, ids []db.ID) (map[db.ID]Task, error) {
	var list []Task
	err := r.db.Query(ctx, `SELECT `+fields+` FROM $x JOIN {task_executions} AS t ON t.id = x.id`, db.Args{"x": db.IDSet(ids)}, scanInto(&list))
	out := make(map[db.ID]Task, len(list))
	for _, t := range list {
		out[t.ID] = t
	}
	return out, wrap("find tasks", err)
}
