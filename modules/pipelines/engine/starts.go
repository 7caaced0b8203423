package engine

import (
	"context"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// singleRunVersion is the highest version of a task that has run only once: created, ready, claimed, started, ended.
const singleRunVersion = 5

// Starts returns when the first task of each execution started. Executions without a started task are omitted. For an
// execution in which a task ran again, Starts reads the history, unless retention has removed it, because the row only
// has the last start.
func (r *Repository) Starts(ctx context.Context, list []pipelines.Execution) (map[dbtype.ID]dbtype.Time, error) {
	ids := make([]dbtype.ID, len(list))
	removed := map[dbtype.ID]bool{}
	for i, x := range list {
		ids[i], removed[x.ID] = x.ID, x.EventsRemoved > 0
	}
	out := make(map[dbtype.ID]dbtype.Time, len(list))
	var again []dbtype.ID
	err := r.db.Query(ctx,
		`SELECT t.pipeline_execution_id, min(t.started_at), max(t.version) FROM {task_executions} AS t
WHERE t.pipeline_execution_id IN (SELECT x.execution FROM $x) GROUP BY t.pipeline_execution_id`,
		db.Args{"x": db.NewRowSet(len(ids)).IDs("execution", ids)}, func(scan db.Scan) error {
			var id dbtype.ID
			var at dbtype.Time
			var version int64
			err := scan(&id, &at, &version)
			if !at.IsZero() {
				out[id] = at
			}
			if version > singleRunVersion && !removed[id] {
				again = append(again, id)
			}
			return err
		})
	if err != nil || len(again) == 0 {
		return out, db.Wrap("read when pipeline executions started", err)
	}
	err = r.db.Query(ctx, `SELECT e.pipeline_execution_id, min(e.created_at) FROM {execution_events} AS e
WHERE e.pipeline_execution_id IN (SELECT x.execution FROM $x) AND e.event_type = 'task_started'
  GROUP BY e.pipeline_execution_id`,
		db.Args{"x": db.NewRowSet(len(again)).IDs("execution", again)}, func(scan db.Scan) error {
			var id dbtype.ID
			var at dbtype.Time
			err := scan(&id, &at)
			out[id] = at
			return err
		})
	return out, db.Wrap("read when pipeline executions started", err)
}
