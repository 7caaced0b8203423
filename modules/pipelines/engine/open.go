package engine

import (
	"context"

	"github.com/sluiceworks/sluice/platform/db"
)

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
