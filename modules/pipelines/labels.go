package pipelines

import (
	"context"
	"maps"
	"slices"

	"github.com/sluiceworks/sluice/platform/db"
)

// Labels returns the labels of executions by id. Executions without labels are omitted.
func (r *Repository) Labels(ctx context.Context, ids []db.ID) (map[db.ID]map[string]string, error) {
	out := map[db.ID]map[string]string{}
	err := r.db.Query(ctx, `SELECT l.pipeline_execution_id, l.name, l.value FROM {execution_labels} AS l
WHERE l.pipeline_execution_id IN (SELECT x.execution FROM $x)`, db.Args{"x": db.NewRowSet(len(ids)).IDs("execution", ids)}, func(scan func(...any) error) error {
		var id db.ID
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
func (r *Repository) label(tx db.Tx, list []*change) error {
	var ids []db.ID
	var names, values []string
	for _, m := range list {
		for _, name := range slices.Sorted(maps.Keys(m.execution.Labels)) {
			ids, names, values = append(ids, m.execution.ID), append(names, name), append(values, m.execution.Labels[name])
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return tx.QueueExec("write labels", `INSERT INTO {execution_labels} (name, value, pipeline_execution_id)
SELECT x.name, x.value, x.id FROM $x $keep_plan`, db.Args{"x": db.IDRows(ids).Texts("name", names).Texts("value", values)})
}

// mergedLabels returns the union of a definition's labels and those given at the start. The latter take precedence.
func mergedLabels(defined, given map[string]string) map[string]string {
	if len(given) == 0 {
		return defined
	}
	out := maps.Clone(given)
	for name, value := range defined {
		if _, ok := out[name]; !ok {
			out[name] = value
		}
	}
	return out
}
