package eventstore

import (
	"context"
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// FirstAfter returns the time of a task's first event of the given type that comes after its last event of any type in
// after, in the order of versions. It returns the zero time if there is none. It reads all of the execution's events,
// because there is no index by task, so it is not meant for frequent calls.
func (r *Repository) FirstAfter(
	ctx context.Context, pipeline, task dbtype.ID, of events.Type, after ...events.Type,
) (dbtype.Time, error) {
	names := make([]string, len(after))
	for i, t := range after {
		names[i] = string(t)
	}
	var at dbtype.Time
	err := r.db.Query(ctx, `SELECT created_at FROM {execution_events}
WHERE pipeline_execution_id = $pipeline AND task_execution_id = $task AND event_type = $type AND version > coalesce((
  SELECT max(version) FROM {execution_events}
  WHERE pipeline_execution_id = $pipeline AND task_execution_id = $task AND event_type IN (SELECT name FROM $after)), 0)
ORDER BY version LIMIT 1`, db.Args{
		"pipeline": pipeline, "task": task, "type": string(of), "after": db.NewRowSet(len(names)).Texts("name", names),
	}, func(scan db.Scan) error { return scan(&at) })
	if err != nil {
		return dbtype.Time{}, fmt.Errorf("look for the first %s: %w", of, err)
	}
	return at, nil
}
