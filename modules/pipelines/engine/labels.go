package engine

import (
	"context"
	"maps"
	"slices"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Labels returns the labels of executions by id. Executions without labels are omitted.
func (r *Repository) Labels(ctx context.Context, ids []dbtype.ID) (map[dbtype.ID]map[string]string, error) {
	out := map[dbtype.ID]map[string]string{}
	err := r.db.Query(ctx, `SELECT l.pipeline_execution_id, l.name, l.value FROM {execution_labels} AS l
WHERE l.pipeline_execution_id IN (SELECT x.execution FROM $x)`,
		db.Args{"x": db.NewRowSet(len(ids)).IDs("execution", ids)}, func(scan func(...any) error) error {
			var id dbtype.ID
			var name, value string
			err := scan(&id, &name, &value)
			if out[id] == nil {
				out[id] = map[string]string{}
			}
			out[id][name] = value
			return err
		})
	return out, wrap("read labels", err)
}

// label inserts the labels of new executions.
func (r *Repository) label(tx db.Tx, list []*pipelines.Change) error {
	var ids []dbtype.ID
	var names, values []string
	for _, m := range list {
		for _, name := range slices.Sorted(maps.Keys(m.Execution.Labels)) {
			ids, names = append(ids, m.Execution.ID), append(names, name)
			values = append(values, m.Execution.Labels[name])
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return tx.QueueExec("write labels", `INSERT INTO {execution_labels} (name, value, pipeline_execution_id)
SELECT x.name, x.value, x.id FROM $x $keep_plan`,
		db.Args{"x": db.IDRows(ids).Texts("name", names).Texts("value", values)})
}
