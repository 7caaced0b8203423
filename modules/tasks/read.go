package tasks

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/platform/db"
)

// ErrExecutionNotFound is a task execution that does not exist.
var ErrNotFound = errors.New("no such task execution")

// fields are what moves need of a row: all but its output, which may be large.
const fields = `t.id, t.pipeline_execution_id, t.task_name, t.handler, t.queue, t.priority, t.status, t.sub_status, t.version, t.attempt, t.max_attempts,
  t.remaining_dependencies, t.worker_id, t.retry_at, t.recoveries, t.skip_reason, t.error, t.error_kind, t.created_at, t.started_at, t.completed_at`

func scanInto(list *[]Task) func(scan func(...any) error) error {
	return func(scan func(...any) error) error {
		*list = append(*list, Task{})
		t := &(*list)[len(*list)-1]
		return scan(&t.ID, &t.PipelineExecutionID, &t.TaskName, &t.Handler, &t.Queue, &t.Priority, &t.Status, &t.SubStatus, &t.Version, &t.Attempt,
			&t.MaxAttempts, &t.RemainingDependencies, &t.WorkerID, &t.RetryAt, &t.Recoveries, &t.SkipReason, &t.Error, &t.ErrorKind, &t.CreatedAt, &t.StartedAt, &t.CompletedAt)
	}
}

// QueueLoad reads tasks by id, without their outputs; list has them after the next Flush. Ids that do not exist are
// left out.
func (r *Repository) QueueLoad(tx db.Tx, ids []db.ID, list *[]Task) error {
	return tx.QueueQuery("load tasks", `SELECT `+fields+` FROM $x JOIN {task_executions} AS t ON t.id = x.id $keep_plan_of_one`, db.Args{"x": db.IDRows(ids)}, scanInto(list))
}

const loadPipelines = `SELECT ` + fields + ` FROM $x JOIN {task_executions} AS t ON t.pipeline_execution_id = x.id`

// LoadByExecution reads all tasks of pipeline executions, without their outputs, in no order.
func (r *Repository) LoadByExecution(tx db.Tx, pipelines []db.ID) ([]Task, error) {
	var list []Task
	err := tx.Query(loadPipelines, db.Args{"x": db.IDRows(pipelines)}, scanInto(&list))
	return list, wrap("load tasks", err)
}

// Key identifies a task within a pipeline execution.
type Key struct {
	PipelineExecutionID db.ID
	TaskName            string
}

// QueueLoadByKey reads tasks by name, without their outputs; list has them after the next Flush.
func (r *Repository) QueueLoadByKey(tx db.Tx, names []Key, list *[]Task) error {
	return tx.QueueQuery("load tasks", `SELECT `+fields+` FROM $x JOIN {task_executions} AS t ON t.pipeline_execution_id = x.id AND t.task_name = x.name $keep_plan_of_one`,
		db.Args{"x": keyRows(names)}, scanInto(list))
}

// Outputs reads the outputs of completed tasks by name; the others have none.
func (r *Repository) Outputs(tx db.Tx, list []Key) (map[Key]db.JSON, error) {
	out := make(map[Key]db.JSON, len(list))
	err := tx.Query(`SELECT t.pipeline_execution_id, t.task_name, t.output FROM $x
JOIN {task_executions} AS t ON t.pipeline_execution_id = x.id AND t.task_name = x.name WHERE t.status = 'Completed'`,
		db.Args{"x": keyRows(list)}, func(scan func(...any) error) error {
			var n Key
			var v db.JSON
			err := scan(&n.PipelineExecutionID, &n.TaskName, &v)
			out[n] = v
			return err
		})
	return out, wrap("load outputs", err)
}

func keyRows(list []Key) *db.RowSet {
	ids, names := make([]db.ID, len(list)), make([]string, len(list))
	for i, n := range list {
		ids[i], names[i] = n.PipelineExecutionID, n.TaskName
	}
	return db.IDRows(ids).Texts("name", names)
}

// openTasks is the tasks of executions that have not ended, however long the history is: CROSS JOIN has SQLite begin
// with the executions, which it would otherwise look up for each task that there ever was.
const openTasks = `{pipeline_executions} AS p CROSS JOIN {task_executions} AS t WHERE t.pipeline_execution_id = p.id
  AND p.status IN ('Running', 'Paused')`

// Held reads the tasks that run in a worker's name, of one execution or, if that is zero, of all. It looks through the
// open executions: an index by worker or status would cost every transition (a column that changes, in an index or in
// its condition, ends the updates within a page), and this is asked for seldom. It locks nothing.
func (r *Repository) Held(ctx context.Context, worker string, execution db.ID) (list []Task, err error) {
	err = r.db.Query(ctx, `SELECT `+fields+` FROM `+openTasks+` AND t.status = 'Running' AND t.worker_id = $worker`+only(execution),
		db.Args{"worker": worker, "execution": execution}, scanInto(&list))
	return list, wrap("find the tasks of a worker", err)
}

func only(execution db.ID) string {
	if execution.IsZero() {
		return ""
	}
	return ` AND p.id = $execution`
}

// Lost is where a worker without a row has running tasks.
type Lost struct {
	PipelineExecutionID db.ID
	WorkerID            string
}

const lostWorkerTasks = ` FROM ` + openTasks + ` AND t.status = 'Running' AND NOT EXISTS (SELECT 1 FROM {workers} AS w WHERE w.id = t.worker_id)`

// LostWorkers looks through the open executions for running tasks whose worker has no row.
func (r *Repository) LostWorkers(tx db.Tx) (list []Lost, err error) {
	err = tx.Query(`SELECT DISTINCT t.pipeline_execution_id, COALESCE(t.worker_id, '')`+lostWorkerTasks, nil, func(scan func(...any) error) error {
		list = append(list, Lost{})
		x := &list[len(list)-1]
		return scan(&x.PipelineExecutionID, &x.WorkerID)
	})
	return list, wrap("find the tasks of lost workers", err)
}

// AnyWorkerLost reports whether Lost would find anything. It locks nothing.
func (r *Repository) AnyWorkerLost(ctx context.Context) (found bool, err error) {
	err = r.db.Query(ctx, `SELECT 1`+lostWorkerTasks+` LIMIT 1`, nil, func(scan func(...any) error) error {
		var one int
		found = true
		return scan(&one)
	})
	return found, wrap("look for the tasks of lost workers", err)
}

// DependencyCount says how many of a task's dependencies have ended, of those that its row counts as open. A negative
// number reopens.
type DependencyCount struct {
	ID    db.ID
	Ended int
}

// CountDependencies counts dependencies off, of tasks whose moves do not write the number. The pipeline's row is
// locked, so nothing else counts; a claim may move the task meanwhile.
func (r *Repository) CountDependencies(tx db.Tx, list []DependencyCount) error {
	ids, n := make([]db.ID, len(list)), make([]int64, len(list))
	for i, c := range list {
		ids[i], n[i] = c.ID, int64(c.Ended)
	}
	return tx.QueueExec("count dependencies", `UPDATE {task_executions} AS t SET remaining_dependencies = t.remaining_dependencies - x.n FROM $x WHERE t.id = x.id`,
		db.Args{"x": db.IDRows(ids).Ints("n", n)})
}

// Moved is a claim under which its task is no more.
type Moved struct {
	Place int  // in the list that was asked about
	Ended bool // the task has been cancelled or abandoned, and is not in another worker's hands
}

// StaleVersions returns those claims under which their tasks are no more.
func (r *Repository) StaleVersions(ctx context.Context, claims []Task) (moved []Moved, err error) {
	n := len(claims)
	ids, versions, holders, since, places := make([]db.ID, n), make([]int64, n), make([]string, n), make([]db.Time, n), make([]int64, n)
	for i := range claims {
		places[i] = int64(i)
		ids[i], versions[i], holders[i], since[i] = claims[i].ID, claims[i].Version, string(claims[i].WorkerID), claims[i].StartedAt
	}
	err = r.db.Query(ctx, `SELECT x.place, coalesce(t.status IN ('Cancelled', 'Abandoned'), false)
FROM $x LEFT JOIN {task_executions} AS t ON t.id = x.id
WHERE NOT coalesce(t.version = x.version AND t.worker_id = x.holder AND t.started_at = x.since, false)`,
		db.Args{"x": db.IDRows(ids).Ints("version", versions).Texts("holder", holders).Times("since", since).Ints("place", places)},
		func(scan func(...any) error) error {
			moved = append(moved, Moved{})
			m := &moved[len(moved)-1]
			return scan(&m.Place, &m.Ended)
		})
	return moved, wrap("look at claims", err)
}

// ListByPipeline gives the tasks of a pipeline execution, whole, in the order of their creation.
func (r *Repository) ListByPipeline(ctx context.Context, id db.ID) ([]Task, error) {
	q, err := r.db.Read(ctx)
	if err != nil {
		return nil, err
	}
	list := []Task{}
	return list, wrap("list tasks", q.Where("pipeline_execution_id = ?", id).Order("id").Find(&list).Error)
}

// Summaries reads the tasks of a pipeline execution without their outputs, in the order of their creation.
func (r *Repository) Summaries(ctx context.Context, id db.ID) ([]Task, error) {
	list := []Task{}
	err := r.db.Query(ctx, `SELECT `+fields+` FROM {task_executions} AS t WHERE t.pipeline_execution_id = $id ORDER BY t.id`,
		db.Args{"id": id}, scanInto(&list))
	return list, wrap("list tasks", err)
}

// OutputsOf reads the outputs of tasks by id. One that has none is left out.
func (r *Repository) OutputsOf(ctx context.Context, ids []db.ID) (map[db.ID]db.JSON, error) {
	out := make(map[db.ID]db.JSON, len(ids))
	err := r.db.Query(ctx, `SELECT t.id, t.output FROM $x JOIN {task_executions} AS t ON t.id = x.id WHERE t.output IS NOT NULL`,
		db.Args{"x": db.IDRows(ids)}, func(scan func(...any) error) error {
			var id db.ID
			var v db.JSON
			err := scan(&id, &v)
			out[id] = v
			return err
		})
	return out, wrap("read outputs", err)
}

// Get reads one task, whole.
func (r *Repository) Get(ctx context.Context, id db.ID) (Task, error) {
	q, err := r.db.Read(ctx)
	if err != nil {
		return Task{}, err
	}
	var t Task
	err = q.Where("id = ?", id).Take(&t).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Task{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	return t, wrap("read task", err)
}

func wrap(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
