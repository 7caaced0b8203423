package taskstore

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Load adds a query for tasks by id, without their outputs, to a batch. It returns the list that sending the batch
// fills. Ids that do not exist are omitted.
func (r *Repository) Load(b *db.Batch, ids []dbtype.ID) *[]tasks.Task {
	list := &[]tasks.Task{}
	b.Query("load tasks", `SELECT `+fields+
		` FROM $x JOIN {task_executions} AS t ON t.id = x.id $keep_plan_of_one`, db.Args{"x": db.IDRows(ids)},
		loaded.Into(list))
	return list
}

// LoadByKey is Load for tasks by key.
func (r *Repository) LoadByKey(b *db.Batch, names []tasks.Key) *[]tasks.Task {
	list := &[]tasks.Task{}
	b.Query("load tasks", `SELECT `+fields+
		` FROM $x JOIN {task_executions} AS t ON t.pipeline_execution_id = x.id
  AND t.task_name = x.name $keep_plan_of_one`, db.Args{"x": keyRows(names)}, loaded.Into(list))
	return list
}

var loadExecutionTasks = `SELECT ` + fields + ` FROM $x JOIN {task_executions} AS t ON t.pipeline_execution_id = x.id`

// LoadByExecution returns all tasks of the given pipeline executions, without their outputs, in no particular order.
func (r *Repository) LoadByExecution(tx db.Tx, pipelines []dbtype.ID) ([]tasks.Task, error) {
	var list []tasks.Task
	err := tx.Query(loadExecutionTasks, db.Args{"x": db.IDRows(pipelines)}, loaded.Into(&list))
	return list, db.Wrap("load tasks", err)
}

// Outputs returns the outputs of tasks by key. Tasks that are not Completed are omitted.
func (r *Repository) Outputs(tx db.Tx, list []tasks.Key) (map[tasks.Key]dbtype.JSON, error) {
	out := make(map[tasks.Key]dbtype.JSON, len(list))
	err := tx.Query(`SELECT t.pipeline_execution_id, t.task_name, t.output FROM $x
JOIN {task_executions} AS t ON t.pipeline_execution_id = x.id AND t.task_name = x.name WHERE t.status = 'Completed'`,
		db.Args{"x": keyRows(list)}, func(scan db.Scan) error {
			var n tasks.Key
			var v dbtype.JSON
			err := scan(&n.PipelineExecutionID, &n.TaskName, &v)
			out[n] = v
			return err
		})
	return out, db.Wrap("load outputs", err)
}

func keyRows(list []tasks.Key) *db.RowSet {
	ids, names := make([]dbtype.ID, len(list)), make([]string, len(list))
	for i, n := range list {
		ids[i], names[i] = n.PipelineExecutionID, n.TaskName
	}
	return db.IDRows(ids).Texts("name", names)
}

// openTasks selects the tasks of executions that have not ended. CROSS JOIN makes SQLite read the executions first.
// Otherwise it would scan all tasks of the history.
const openTasks = `{pipeline_executions} AS p CROSS JOIN {task_executions} AS t WHERE t.pipeline_execution_id = p.id
  AND p.status IN ('Running', 'Paused')`

// Held returns the tasks that worker runs, without their outputs: those of one execution, or of all if execution is
// zero. It locks nothing. It scans the tasks of all open executions. An index on the worker or the status would slow
// every transition down, because PostgreSQL cannot make a HOT update of a row if an indexed column changes; this query
// is rare.
func (r *Repository) Held(ctx context.Context, worker string, execution dbtype.ID) (list []tasks.Task, err error) {
	err = r.db.Query(ctx, `SELECT `+fields+` FROM `+openTasks+` AND t.status = 'Running' AND t.worker_id = $worker`+
		only(execution),
		db.Args{"worker": worker, "execution": execution}, loaded.Into(&list))
	return list, db.Wrap("find the tasks of a worker", err)
}

func only(execution dbtype.ID) string {
	if execution.IsZero() {
		return ""
	}
	return ` AND p.id = $execution`
}

// Lost is a pipeline execution with running tasks of a worker that has no row.
type Lost struct {
	PipelineExecutionID dbtype.ID
	WorkerID            string
}

const lostWorkerTasks = ` FROM ` + openTasks +
	` AND t.status = 'Running' AND NOT EXISTS (SELECT 1 FROM {workers} AS w WHERE w.id = t.worker_id)`

// LostWorkers returns each pair of an open execution and a worker without a row that has running tasks in it.
func (r *Repository) LostWorkers(tx db.Tx) (list []Lost, err error) {
	err = tx.Query(`SELECT DISTINCT t.pipeline_execution_id, COALESCE(t.worker_id, '')`+
		lostWorkerTasks, nil, func(scan db.Scan) error {
		list = append(list, Lost{})
		x := &list[len(list)-1]
		return scan(&x.PipelineExecutionID, &x.WorkerID)
	})
	return list, db.Wrap("find the tasks of lost workers", err)
}

// AnyWorkerLost reports whether LostWorkers would find anything. It locks nothing.
func (r *Repository) AnyWorkerLost(ctx context.Context) (found bool, err error) {
	err = r.db.Query(ctx, `SELECT 1`+lostWorkerTasks+` LIMIT 1`, nil, func(scan db.Scan) error {
		var one int
		found = true
		return scan(&one)
	})
	return found, db.Wrap("check for tasks of lost workers", err)
}

// CountDependencies subtracts ended dependencies from tasks whose changes do not write remaining_dependencies. The
// caller holds the lock of the pipeline execution, so there are no concurrent counts. A concurrent claim may change the
// row in the meantime, which is harmless, because the statement does not depend on the version.
func (r *Repository) CountDependencies(b *db.Batch, list []tasks.DependencyCount) {
	ids, n := make([]dbtype.ID, len(list)), make([]int64, len(list))
	for i, c := range list {
		ids[i], n[i] = c.ID, int64(c.Ended)
	}
	b.Exec("count dependencies",
		`UPDATE {task_executions} AS t SET remaining_dependencies = t.remaining_dependencies - x.n FROM $x
  WHERE t.id = x.id`,
		db.Args{"x": db.IDRows(ids).Ints("n", n)})
}

// StaleClaim is a stale claim: one that no longer holds its task.
type StaleClaim struct {
	Place int  // index in the list of claims
	Ended bool // the task is Cancelled or Abandoned, so no other worker runs it
}

// StaleVersions returns those of the given claims that no longer hold their tasks.
func (r *Repository) StaleVersions(ctx context.Context, claims []tasks.Task) (changed []StaleClaim, err error) {
	n := len(claims)
	ids, versions, holders, since, places := make([]dbtype.ID, n), make([]int64, n), make([]string, n),
		make([]dbtype.Time, n), make([]int64, n)
	for i := range claims {
		places[i] = int64(i)
		ids[i], versions[i], holders[i], since[i] = claims[i].ID, claims[i].Version, string(claims[i].WorkerID),
			claims[i].StartedAt
	}
	err = r.db.Query(ctx, `SELECT x.place, coalesce(t.status IN ('Cancelled', 'Abandoned'), false)
FROM $x LEFT JOIN {task_executions} AS t ON t.id = x.id
WHERE NOT coalesce(t.version = x.version AND t.worker_id = x.holder AND t.started_at = x.since, false)`,
		db.Args{"x": db.IDRows(ids).Ints("version", versions).Texts("holder", holders).Times("since", since).
			Ints("place", places)},
		func(scan db.Scan) error {
			changed = append(changed, StaleClaim{})
			m := &changed[len(changed)-1]
			return scan(&m.Place, &m.Ended)
		})
	return changed, db.Wrap("look at claims", err)
}

// ListByPipeline returns the tasks of a pipeline execution, with their outputs, in the order of creation.
func (r *Repository) ListByPipeline(ctx context.Context, id dbtype.ID) ([]tasks.Task, error) {
	q, err := r.db.Read(ctx, "task_executions")
	if err != nil {
		return nil, err
	}
	list := []tasks.Task{}
	return list, db.Wrap("list tasks", q.Where("pipeline_execution_id = ?", id).Order("id").Find(&list).Error)
}

// Summaries returns the tasks of a pipeline execution, without their outputs, in the order of creation.
func (r *Repository) Summaries(ctx context.Context, id dbtype.ID) ([]tasks.Task, error) {
	list := []tasks.Task{}
	err := r.db.Query(ctx, `SELECT `+fields+
		` FROM {task_executions} AS t WHERE t.pipeline_execution_id = $id ORDER BY t.id`,
		db.Args{"id": id}, loaded.Into(&list))
	return list, db.Wrap("list tasks", err)
}

// OutputsOf returns the outputs of tasks by id. Tasks without an output are omitted.
func (r *Repository) OutputsOf(ctx context.Context, ids []dbtype.ID) (map[dbtype.ID]dbtype.JSON, error) {
	out := make(map[dbtype.ID]dbtype.JSON, len(ids))
	err := r.db.Query(ctx,
		`SELECT t.id, t.output FROM $x JOIN {task_executions} AS t ON t.id = x.id WHERE t.output IS NOT NULL`,
		db.Args{"x": db.IDRows(ids)}, func(scan db.Scan) error {
			var id dbtype.ID
			var v dbtype.JSON
			err := scan(&id, &v)
			out[id] = v
			return err
		})
	return out, db.Wrap("read outputs", err)
}

// Get returns one task with its output. It returns ErrNotFound if the task does not exist.
func (r *Repository) Get(ctx context.Context, id dbtype.ID) (tasks.Task, error) {
	q, err := r.db.Read(ctx, "task_executions")
	if err != nil {
		return tasks.Task{}, err
	}
	var t tasks.Task
	err = q.Where("id = ?", id).Take(&t).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return tasks.Task{}, fmt.Errorf("%w: %s", tasks.ErrNotFound, id)
	}
	return t, db.Wrap("read task", err)
}

// Find returns the tasks with the given ids, without their outputs. It uses no transaction. Ids that do not exist are
// omitted.
func (r *Repository) Find(ctx context.Context, ids []dbtype.ID) (map[dbtype.ID]tasks.Task, error) {
	var list []tasks.Task
	err := r.db.Query(ctx, `SELECT `+fields+` FROM $x JOIN {task_executions} AS t ON t.id = x.id`,
		db.Args{"x": db.IDRows(ids)}, loaded.Into(&list))
	out := make(map[dbtype.ID]tasks.Task, len(list))
	for _, t := range list {
		out[t.ID] = t
	}
	return out, db.Wrap("find tasks", err)
}

// ListRunning returns the Running tasks, without their outputs, the longest-running first. It scans the tasks of all
// open executions: an index on the status would make every transition slower, and this query is rare.
func (r *Repository) ListRunning(ctx context.Context) ([]tasks.Task, error) {
	list := []tasks.Task{}
	err := r.db.Query(ctx, `SELECT `+fields+` FROM `+openTasks+` AND t.status = 'Running' ORDER BY t.started_at, t.id`,
		nil, loaded.Into(&list))
	return list, db.Wrap("list running tasks", err)
}

// FirstStartedAt returns when the handler was first started after the task was last made ready or last failed; see
// Attempt.FirstStarted. It returns an error if the task has not been started. It reads the events, because only
// handlers that wait need the time, and a column would be written by every claim.
func (r *Repository) FirstStartedAt(ctx context.Context, t tasks.Task) (dbtype.Time, error) {
	at, err := r.events.FirstAfter(ctx, t.PipelineExecutionID, t.ID, events.TaskStarted, events.TaskMarkedReady,
		events.TaskRetryScheduled)
	if err == nil && at.IsZero() {
		err = fmt.Errorf("task %s has not been started", t.ID)
	}
	return at, err
}
