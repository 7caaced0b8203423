package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/duration"
)

// overdueBatch is the maximum number of executions that one call of EndOverdue ends.
const overdueBatch = 100

// EndOverdue ends executions whose deadline has passed, the longest overdue first, and at most 100 per call. Each is
// ended in its own transaction: its open tasks become Abandoned, and the execution Failed.
//
// EndOverdue returns the executions that it ended, and the earliest deadline of the others; zero if there is none. If
// one execution cannot be ended, EndOverdue continues with the others and returns the errors joined. If ctx ends or the
// database is unavailable, it stops and returns that error.
func (e *Engine) EndOverdue(ctx context.Context) (ended []dbtype.ID, next dbtype.Time, err error) {
	now := e.db.Now()
	overdue, next, err := e.pipelines.overdue(ctx, dbtype.NewTime(now))
	if err != nil {
		return nil, next, err
	}
	var failed []error
	for _, id := range overdue {
		done, err := e.endOverdue(ctx, id)
		switch {
		case err == nil && done:
			ended = append(ended, id)
		// another process has ended it, it was restarted, or it was deleted
		case err == nil, errors.Is(err, pipelines.ErrExecutionNotFound):
		case ctx.Err() != nil || db.Away(err):
			return ended, next, err
		default:
			failed = append(failed, fmt.Errorf("end overdue pipeline execution %s: %w", id, err))
		}
	}
	return ended, next, errors.Join(failed...)
}

// endOverdue ends one execution if its deadline has passed. It reports whether it did.
func (e *Engine) endOverdue(ctx context.Context, id dbtype.ID) (ended bool, err error) {
	err = e.control(ctx, id, func(b *db.Batch, x pipelines.Execution) (int, error) {
		tx := b.Tx()
		ended = false
		if x.Status.Terminal() || x.DeadlineAt.IsZero() || x.DeadlineAt.After(tx.Now.Time) {
			return 0, nil
		}
		reason := "pipeline timeout is over"
		def, err := e.definitions.find(ctx, tx, x.PipelineName, x.DefinitionVersion)
		switch {
		case err == nil:
			reason = fmt.Sprintf("pipeline timeout of %s is over", duration.Format(def.Timeout))
		case !isDefinitionMissing(err):
			return 0, err
		}
		e.leases.Recovered(b, []dbtype.ID{id})
		ended = true
		return 0, e.abandonIn(b, x, reason)
	})
	return ended && err == nil, err
}

// overdue returns the executions whose deadline has passed, at most overdueBatch, and the earliest deadline of the
// others.
func (r *Repository) overdue(ctx context.Context, now dbtype.Time) (list []dbtype.ID, next dbtype.Time, err error) {
	err = r.db.Query(ctx, `SELECT id, deadline_at FROM {pipeline_executions}
WHERE deadline_at IS NOT NULL AND status IN ('Running', 'Paused') ORDER BY deadline_at LIMIT $limit`,
		db.Args{"limit": overdueBatch + 1}, func(scan db.Scan) error {
			var id dbtype.ID
			var at dbtype.Time
			err := scan(&id, &at)
			if !at.After(now.Time) && len(list) < overdueBatch {
				list = append(list, id)
			} else if next.IsZero() {
				next = at
			}
			return err
		})
	return list, next, db.Wrap("find overdue pipeline executions", err)
}
