package taskstore

import (
	"context"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Find returns the tasks with the given ids, without their outputs. It uses no transaction. Ids that do not exist are
// omitted.
func (r *Repository) Find(ctx context.Context, ids []dbtype.ID) (map[dbtype.ID]tasks.Task, error) {
	var list []tasks.Task
	err := r.db.Query(ctx, `SELECT `+fields+` FROM $x JOIN {task_executions} AS t ON t.id = x.id`,
		db.Args{"x": db.IDRows(ids)}, loaded.Into(&list))
	out := make(map[dbtype.ID]tasks.Task, len(list))
	for _, t := range list {
		out[t.ID] = t
	}
	return out, db.Wrap("find tasks", err)
}

// ListRunning returns the Running tasks, without their outputs, the longest-running first. It scans the tasks of all
// open executions: an index on the status would make every transition slower, and this query is rare.
func (r *Repository) ListRunning(ctx context.Context) ([]tasks.Task, error) {
	list := []tasks.Task{}
	err := r.db.Query(ctx, `SELECT `+fields+` FROM `+openTasks+` AND t.status = 'Running' ORDER BY t.started_at, t.id`,
		nil, loaded.Into(&list))
	return list, db.Wrap("list running tasks", err)
}
