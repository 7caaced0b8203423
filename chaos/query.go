package chaos

import (
	"context"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const (
	openExecutions = `SELECT COUNT(*) FROM {pipeline_executions} WHERE status IN ('Running', 'Paused')`
	liveWorkers    = `SELECT COUNT(*) FROM {workers} WHERE lease_expires_at > $now`
	outboxRows     = `SELECT COUNT(*) FROM {task_outbox}`
	eventRows      = `SELECT COUNT(*) FROM {execution_events}`

	// A task should have ended that has run for longer than any handler does, and an outbox row should have been
	// claimed.
	longRunning = `SELECT COUNT(*) FROM {pipeline_executions} p
  JOIN {task_executions} t ON t.pipeline_execution_id = p.id
WHERE p.status = 'Running' AND t.status = 'Running' AND t.started_at < $before`
	// A run is dead if none of its tasks runs or is ready to, because then nothing will ever continue it.
	dead = `SELECT COUNT(*) FROM {pipeline_executions} p WHERE p.status = 'Running' AND NOT EXISTS (
SELECT 1 FROM {task_executions} t WHERE t.pipeline_execution_id = p.id AND t.status IN ('Ready', 'Running'))`

	longWaiting = `SELECT COUNT(*) FROM {task_outbox} WHERE available_at < $before`
)

// count runs a statement that returns one number.
func count(ctx context.Context, d *db.DB, statement string, args db.Args) (n int, err error) {
	err = d.Query(ctx, statement, args, func(scan db.Scan) error { return scan(&n) })
	return n, err
}

// openIDs returns the executions that have not ended.
func openIDs(ctx context.Context, d *db.DB) (ids []dbtype.ID, err error) {
	err = d.Query(ctx, `SELECT id FROM {pipeline_executions} WHERE status IN ('Running', 'Paused')`, nil,
		func(scan db.Scan) error {
			var id dbtype.ID
			err := scan(&id)
			ids = append(ids, id)
			return err
		})
	return ids, err
}

// stuck counts what has not changed since the given time, or never will. A time of zero is before everything.
func stuck(ctx context.Context, d *db.DB, since time.Time) (total int, err error) {
	if since.IsZero() {
		since = time.UnixMicro(1)
	}
	before := db.Args{"before": dbtype.NewTime(since)}
	for _, look := range []struct {
		statement string
		args      db.Args
	}{{longRunning, before}, {longWaiting, before}, {dead, nil}} {
		n, err := count(ctx, d, look.statement, look.args)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
