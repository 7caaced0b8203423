package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// watch checks twice a second whether anything is stuck.
func (r *round) watch(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if n, err := r.stuck(ctx); err == nil {
			r.rested(n)
		}
	}
}

// stuck counts what has not changed while workers could work for the stale time, or never will.
func (r *round) stuck(ctx context.Context) (int, error) {
	now := r.db.Now()
	live, err := count(ctx, r.db, liveWorkers, db.Args{"now": dbtype.NewTime(now)})
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	r.served.add(now, live > 0)
	before := r.served.since(r.config.stale())
	r.mu.Unlock()
	return stuck(ctx, r.db, before)
}

func (r *round) rested(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.back) < r.config.stale() {
		return // what had to wait for the server, or was restored, looks as if it were stuck
	}
	r.report.Stuck = max(r.report.Stuck, n)
}

// settling is how long open runs may take to end after the last fault.
const settling = 2 * time.Minute

// settle waits until all runs have ended, or those that are left are stuck, which judge reports.
func (r *round) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for last, since := -1, time.Now(); ; {
		var open, still int
		err := r.insist(ctx, func() (err error) {
			if open, err = count(ctx, r.db, openExecutions, nil); err == nil {
				still, err = r.stuck(ctx)
			}
			return err
		})
		if err != nil || open == 0 {
			return err
		}
		r.rested(still)
		if open != last {
			last, since = open, time.Now()
		}
		if still > 0 && time.Since(since) > r.config.stale() {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d runs are still open: %w", open, ctx.Err())
		case <-tick.C:
		}
	}
}

// remains describes what is left of runs that have not ended.
func remains(ctx context.Context, d *db.DB) (list []string, err error) {
	err = d.Query(ctx, `SELECT p.id, p.pipeline_name, t.id, t.task_name, t.status, t.worker_id, w.id, o.available_at
  FROM {pipeline_executions} p
LEFT JOIN {task_executions} t ON t.pipeline_execution_id = p.id AND t.status IN ('Ready', 'Running')
LEFT JOIN {workers} w ON w.id = t.worker_id LEFT JOIN {task_outbox} o ON o.task_execution_id = t.id
WHERE p.status = 'Running' ORDER BY p.id LIMIT 20`, nil, func(scan db.Scan) error {
		var run, id dbtype.ID
		var pipeline string
		var task, status, holder, registered dbtype.Text
		var due dbtype.Time
		err := scan(&run, &pipeline, &id, &task, &status, &holder, &registered, &due)
		list = append(list, fmt.Sprintf(
			"run %s of %s is open: task %s (%s) is %q, held by %q, registered as %q, due %s",
			run, pipeline, task, id, status, holder, registered, due))
		return err
	})
	return list, err
}
