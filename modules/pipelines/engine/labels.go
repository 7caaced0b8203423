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
		db.Args{"x": db.NewRowSet(len(ids)).IDs("execution", ids)}, func(scan db.Scan) error {
			var id dbtype.ID
			var name, value string
			err := scan(&id, &name, &value)
			if out[id] == nil {
				out[id] = map[string]string{}
			}
			out[id][name] = value
			return err
		})
	return out, db.Wrap("read labels", err)
}

// label inserts the labels of new executions.
func (r *Repository) label(b *db.Batch, list []*pipelines.Change) {
	var rows []*label
	for _, m := range list {
		for _, name := range slices.Sorted(maps.Keys(m.Execution.Labels)) {
			rows = append(rows, &label{name, m.Execution.Labels[name], m.Execution.ID})
		}
	}
	if len(rows) > 0 {
		labels.Insert(b, "write labels", rows)
	}
}

// label is the row of a label of an execution.
type label struct {
	Name, Value         string
	PipelineExecutionID dbtype.ID
}

var labels = db.ModelOf[label]("execution_labels")
