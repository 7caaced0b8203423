package engine

import (
	"context"
	"sync"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// maxEnds is the maximum number of rows that one transaction takes from run_ends or deletes there.
const maxEnds = 1000

// endRetention is how long a stored end waits for a process that claims it.
const endRetention = time.Hour

// Who waits for the end of a run polls at increasing intervals from FirstEndPoll to lastEndPoll, in addition to
// DB.Listen. SQLite notifies of each commit and PostgreSQL of cancellations, but PostgreSQL does not notify of other
// ends, because a notification would slow every commit that carries one.
const (
	FirstEndPoll = 50 * time.Millisecond
	lastEndPoll  = 500 * time.Millisecond
)

// NextEndPoll returns the interval after one that brought nothing.
func NextEndPoll(last time.Duration) time.Duration { return min(last*5/4, lastEndPoll) }

// watchers holds the functions of this process that are notified of ended runs, by tenant.
type watchers struct {
	mu       sync.Mutex
	byTenant map[string][]*watcher
}

type watcher struct{ notify func([]pipelines.Execution) }

// WatchEnds registers a function to be called when runs of the context's tenant have ended, for whatever reason, after
// the commit. It is also called with the ends that ClaimEnds takes over. The executions have no inputs. If several
// functions are registered, only the first is called, so that each end is reported once. stop unregisters the function.
func (e *Engine) WatchEnds(ctx context.Context, notify func([]pipelines.Execution)) (stop func()) {
	w, name, added := e.pipelines.watchers, db.TenantOf(ctx), &watcher{notify}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byTenant == nil {
		w.byTenant = map[string][]*watcher{}
	}
	w.byTenant[name] = append(w.byTenant[name], added)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		var left []*watcher
		for _, x := range w.byTenant[name] {
			if x != added {
				left = append(left, x)
			}
		}
		w.byTenant[name] = left
	}
}

// first returns the watcher to notify of a tenant's ends; nil if there is none.
func (w *watchers) first(tenant string) *watcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	if list := w.byTenant[tenant]; len(list) > 0 {
		return list[0]
	}
	return nil
}

// runEnd is the row of an ended run that no process has reported.
type runEnd struct {
	PipelineExecutionID dbtype.ID
	Version             int64
	PipelineName        string
	Status              pipelines.Status
	Error               dbtype.Text
	CreatedAt           dbtype.Time
	CompletedAt         dbtype.Time
}

var runEnds = db.ModelOf[runEnd]("run_ends")

// reportEnds makes sure that each run that the changes end is reported to one watcher. If this process has one, it is
// called after the commit. Otherwise the end is stored in this transaction, for a server to claim. Stored ends older
// than endRetention are deleted.
func (r *Repository) reportEnds(b *db.Batch, moves []*pipelines.Change) {
	tx := b.Tx()
	var list []pipelines.Execution
	var rows []*runEnd
	for _, m := range moves {
		if x := m.Execution; x.Status.Terminal() {
			x.Input = nil
			list = append(list, x)
			rows = append(rows, &runEnd{
				PipelineExecutionID: x.ID, Version: x.Version, PipelineName: x.PipelineName, Status: x.Status,
				Error: x.Error, CreatedAt: x.CreatedAt, CompletedAt: x.CompletedAt,
			})
		}
	}
	if len(list) == 0 {
		return
	}
	if w := r.watchers.first(tx.Tenant()); w != nil {
		tx.AfterCommit(func() { w.notify(list) })
		return
	}
	tx.Notify(TopicEnded)
	b.Exec("remove old ends", `DELETE FROM {run_ends} WHERE (completed_at, pipeline_execution_id) IN (
  SELECT completed_at, pipeline_execution_id FROM {run_ends} WHERE completed_at < $old
  ORDER BY completed_at, pipeline_execution_id LIMIT $limit $skip_locked)`,
		db.Args{"old": dbtype.NewTime(tx.Now.Add(-endRetention)), "limit": maxEnds})
	runEnds.Insert(b, "store ends", rows)
}

// ClaimEnds takes over the ends that processes without a watcher have stored, and passes them to this process's watcher
// after the commit. Each end goes to one process. ClaimEnds does nothing without a watcher.
func (e *Engine) ClaimEnds(ctx context.Context) error {
	w := e.pipelines.watchers.first(db.TenantOf(ctx))
	for w != nil {
		found := false
		err := e.db.Query(ctx, `SELECT 1 FROM {run_ends} LIMIT 1`, nil, func(scan db.Scan) error {
			var one int
			found = true
			return scan(&one)
		})
		if err != nil || !found {
			return db.Wrap("find ended runs", err)
		}
		taken := 0
		err = e.db.Transaction(ctx, func(tx db.Tx) error {
			list, err := e.pipelines.claimEnds(tx)
			taken = len(list)
			tx.AfterCommit(func() { w.notify(list) })
			return err
		})
		if err != nil || taken < maxEnds {
			return err
		}
	}
	return nil
}

func (r *Repository) claimEnds(tx db.Tx) ([]pipelines.Execution, error) {
	var rows []runEnd
	err := tx.Query(`DELETE FROM {run_ends} WHERE (completed_at, pipeline_execution_id) IN (
  SELECT completed_at, pipeline_execution_id FROM {run_ends}
  ORDER BY completed_at, pipeline_execution_id LIMIT $limit $skip_locked) RETURNING `+runEnds.Columns(""),
		db.Args{"limit": maxEnds}, runEnds.Into(&rows))
	list := make([]pipelines.Execution, len(rows))
	for i, x := range rows {
		list[i] = pipelines.Execution{
			ID: x.PipelineExecutionID, Version: x.Version, PipelineName: x.PipelineName, Status: x.Status,
			Error: x.Error, CreatedAt: x.CreatedAt, CompletedAt: x.CompletedAt,
		}
	}
	return list, db.Wrap("claim ended runs", err)
}

// recentSuccesses is how many of a pipeline's newest completed runs LastSuccesses compares, because a run that started
// earlier may have ended later.
const recentSuccesses = 10

// LastSuccesses returns when a run of each pipeline last completed. It covers the first limit pipelines by name, and
// omits those without a completed run.
func (r *Repository) LastSuccesses(ctx context.Context, limit int) (map[string]dbtype.Time, error) {
	out := map[string]dbtype.Time{}
	err := r.db.Query(ctx, `SELECT d.pipeline_name, (SELECT max(n.completed_at) FROM (
    SELECT p.completed_at FROM {pipeline_executions} AS p WHERE p.pipeline_name = d.pipeline_name
  AND p.status = 'Completed'
    ORDER BY p.id DESC LIMIT $recent) AS n)
FROM (SELECT DISTINCT pipeline_name FROM {pipeline_definitions} ORDER BY pipeline_name LIMIT $limit) AS d`,
		db.Args{"recent": recentSuccesses, "limit": limit}, func(scan db.Scan) error {
			var name string
			var at dbtype.Time
			err := scan(&name, &at)
			if !at.IsZero() {
				out[name] = at
			}
			return err
		})
	return out, db.Wrap("find the last successes", err)
}
