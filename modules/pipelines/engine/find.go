package engine

import (
	"context"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Find returns executions by id, without their inputs. Ids that do not exist are omitted.
func (r *Repository) Find(ctx context.Context, ids []dbtype.ID) (map[dbtype.ID]pipelines.Execution, error) {
	out := make(map[dbtype.ID]pipelines.Execution, len(ids))
	err := r.db.Query(ctx, `SELECT `+locked.Columns("")+
		` FROM {pipeline_executions} WHERE id IN (SELECT x.execution FROM $x)`,
		db.Args{"x": db.NewRowSet(len(ids)).IDs("execution", ids)},
		func(scan db.Scan) error {
			var e pipelines.Execution
			err := locked.Scan(&e, scan)
			out[e.ID] = e
			return err
		})
	return out, db.Wrap("find pipeline executions", err)
}

// Prefixed returns at most limit executions with ids from first to last, both included, in the order of their ids.
func (r *Repository) Prefixed(ctx context.Context, first, last dbtype.ID, limit int) ([]pipelines.Execution, error) {
	var list []pipelines.Execution
	err := r.db.Query(ctx, `SELECT `+locked.Columns("")+
		` FROM {pipeline_executions} WHERE id >= $first AND id <= $last ORDER BY id LIMIT $limit`,
		db.Args{"first": first, "last": last, "limit": limit}, locked.Into(&list))
	return list, db.Wrap("find pipeline executions", err)
}

// Names returns the names of the registered pipelines, sorted.
func (r *Repository) Names(ctx context.Context) ([]string, error) {
	var names []string
	err := r.db.Query(ctx,
		`SELECT DISTINCT pipeline_name FROM {pipeline_definitions} WHERE registered_at IS NOT NULL
  ORDER BY pipeline_name`, nil, func(scan db.Scan) error {
			names = append(names, "")
			return scan(&names[len(names)-1])
		})
	return names, db.Wrap("list pipelines", err)
}

const countOpen = `SELECT count(*) FROM {pipeline_executions} WHERE status IN ('Running', 'Paused')`

// CountOpen returns the number of executions that have not ended.
func (r *Repository) CountOpen(ctx context.Context) (n int64, err error) {
	err = r.db.Query(ctx, countOpen, nil, func(scan db.Scan) error { return scan(&n) })
	return n, db.Wrap("count open pipeline executions", err)
}

// CountOpenIn is CountOpen within a transaction.
func (r *Repository) CountOpenIn(tx db.Tx) (n int64, err error) {
	err = tx.Query(countOpen, nil, func(scan db.Scan) error { return scan(&n) })
	return n, db.Wrap("count open pipeline executions", err)
}
