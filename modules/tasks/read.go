package tasks

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/platform/db"
)

// ErrNotFound is a task execution that does not exist.
var ErrNotFound = errors.New("no such task execution")

// fields are what moves need of a row: all but its output, which may be large.
const fields = `t.id, t.pipeline_execution_id, t.task_name, t.handler, t.queue, t.priority, t.status, t.sub_status, t.version, t.attempt, t.max_attempts,
  t.remaining_dependencies, t.worker_id, t.retry_at, t.recoveries, t.error, t.created_at, t.started_at, t.completed_at`

func scanInto(list *[]Task) func(scan func(...any) error) error {
	return func(scan func(...any) error) error {
		*list = append(*list, Task{})
		t := &(*list)[len(*list)-1]
		return scan(&t.ID, &t.PipelineExecutionID, &t.TaskName, &t.Handler, &t.Queue, &t.Priority, &t.Status, &t.SubStatus, &t.Version, &t.Attempt,
			&t.MaxAttempts, &t.RemainingDependencies, &t.WorkerID, &t.RetryAt, &t.Recoveries, &t.Error, &t.CreatedAt, &t.StartedAt, &t.CompletedAt)
	}
}

// LoadLater reads tasks by id, without their outputs; list has them after the next Flush. Ids that do not exist are left out.
func (r *Repository) LoadLater(tx db.Tx, ids []db.ID, list *[]Task) error {
	return tx.LaterQuery("load tasks", `SELECT `+fields+` FROM $x JOIN {task_executions} AS t ON t.id = x.id $keep_plan_of_one`, db.Args{"x": db.IDSet(ids)}, scanInto(list))
}

// LoadPipelines reads all tasks of pipeline executions, without their outputs, in no order.
func (r *Repository) LoadPipelines(tx db.Tx, pipelines []db.ID) ([]Task, error) {
	var list []Task
	err := tx.Query(`SELECT `+fields+` FROM $x JOIN {task_executions} AS t ON t.pipeline_execution_id = x.id`,
		db.Args{"x": db.IDSet(pipelines)}, scanInto(&list))
	return list, wrap("load tasks", err)
}

// Name identifies a task within a pipeline execution.
type Name struct {
	PipelineExecutionID db.ID
	TaskName            string
}

// LoadNamesLater reads tasks by name, without their outputs; list has them after the next Flush.
func (r *Repository) LoadNamesLater(tx db.Tx, names []Name, list *[]Task) error {
	return tx.LaterQuery("load tasks", `SELECT `+fields+` FROM $x JOIN {task_executions} AS t ON t.pipeline_execution_id = x.id AND t.task_name = x.name $keep_plan_of_one`,
		db.Args{"x": nameSet(names)}, scanInto(list))
}

// Outputs reads the outputs of completed tasks by name; the others have none.
func (r *Repository) Outputs(tx db.Tx, list []Name) (map[Name]db.JSON, error) {
	out := make(map[Name]db.JSON, len(list))
	err := tx.Query(`SELECT t.pipeline_execution_id, t.task_name, t.output FROM $x
JOIN {task_executions} AS t ON t.pipeline_execution_id = x.id AND t.task_name = x.name WHERE t.status = 'Completed'`,
		db.Args{"x": nameSet(list)}, func(scan func(...any) error) error {
			var n Name
			var v db.JSON
			err := scan(&n.PipelineExecutionID, &n.TaskName, &v)
			out[n] = v
			return err
		})
	return out, wrap("load outputs", err)
}

func nameSet(list []Name) *db.Set {
	ids, names := make([]db.ID, len(list)), make([]string, len(list))
	for i, n := range list {
		ids[i], names[i] = n.PipelineExecutionID, n.TaskName
	}
	return db.IDSet(ids).Texts("name", names)
}

// HeldBy reads the running tasks of workers. It looks through the open executions, for an index by worker would cost every
// claim; workers die seldom.
func (r *Repository) HeldBy(tx db.Tx, workers []string) ([]Task, error) {
	var list []Task
	err := tx.Query(`SELECT `+fields+` FROM {pipeline_executions} AS p JOIN {task_executions} AS t ON t.pipeline_execution_id = p.id
WHERE p.status IN ('Running', 'Paused') AND t.status = 'Running' AND t.worker_id IN (SELECT id FROM $x)`,
		db.Args{"x": db.NewSet(len(workers)).Texts("id", workers)}, scanInto(&list))
	return list, wrap("find the tasks of workers", err)
}

// Counter is the number of a task's dependencies that are not terminal.
type Counter struct {
	ID        db.ID
	Remaining int
}

// SetRemaining writes counters of tasks that no transition moves. The pipeline's row is locked, so nothing else counts.
func (r *Repository) SetRemaining(tx db.Tx, list []Counter) error {
	ids, n := make([]db.ID, len(list)), make([]int64, len(list))
	for i, c := range list {
		ids[i], n[i] = c.ID, int64(c.Remaining)
	}
	return tx.Later("count dependencies", `UPDATE {task_executions} AS t SET remaining_dependencies = x.n FROM $x WHERE t.id = x.id`,
		db.Args{"x": db.IDSet(ids).Ints("n", n)})
}

// Moved gives those of the tasks that no longer have the version given with them: their claims are lost.
func (r *Repository) Moved(ctx context.Context, versions map[db.ID]int64) ([]db.ID, error) {
	ids, v := make([]db.ID, 0, len(versions)), make([]int64, 0, len(versions))
	for id, version := range versions {
		ids, v = append(ids, id), append(v, version)
	}
	var moved []db.ID
	err := r.db.Query(ctx, `SELECT x.id FROM $x LEFT JOIN {task_executions} AS t ON t.id = x.id WHERE t.version IS NULL OR t.version <> x.version`,
		db.Args{"x": db.IDSet(ids).Ints("version", v)}, func(scan func(...any) error) error {
			moved = append(moved, db.ID{})
			return scan(&moved[len(moved)-1])
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
