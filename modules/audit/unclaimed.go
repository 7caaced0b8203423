package audit

import (
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// UnclaimedAfter is how long a task may be Running without a live worker before it is reported. By then a live worker
// should have recovered it.
const UnclaimedAfter = time.Minute

// UnclaimedRunning is a running task that no live worker holds. It is not a breach: a worker that dies leaves such
// tasks, and a live worker recovers them. A task that stays unheld is not being recovered.
type UnclaimedRunning struct {
	PipelineExecutionID dbtype.ID   `json:"pipeline_execution_id"`
	TaskExecutionID     dbtype.ID   `json:"task_execution_id"`
	TaskName            string      `json:"id"`
	WorkerID            dbtype.Text `json:"worker_id"`
	// Since is when its worker's lease ended, or when the task was started if the worker has no row.
	Since dbtype.Time `json:"since"`
	Found string      `json:"found"`
}

// String returns one paragraph.
func (u UnclaimedRunning) String() string {
	return fmt.Sprintf("unheld · pipeline execution %s · task %s (%s)\n  found:    %s\n  hint:     a live worker "+
		"takes it back; `sluice doctor` says if none does\n",
		u.PipelineExecutionID, u.TaskName, u.TaskExecutionID, u.Found)
}

// checkUnheld finds the page's running tasks that no live worker holds.
func (p *page) checkUnheld() error {
	var list []*task
	for _, x := range p.pipelines {
		for _, t := range x.tasks {
			if t.status == tasks.Running && x.status.open() {
				list = append(list, t)
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	leases := map[string]number{}
	columns := []string{"id", "lease_expires_at"}
	err := scan(p.g, columns, "SELECT id, lease_expires_at FROM "+table(p.g, "workers"), nil,
		func(r *rawRow) { leases[r.text(0)] = r.instant(1) })
	if err != nil {
		return fmt.Errorf("read the workers: %w", err)
	}
	latest := p.run.now.Add(-UnclaimedAfter).UnixMicro()
	for _, t := range list {
		u := UnclaimedRunning{
			PipelineExecutionID: t.pipelineID, TaskExecutionID: t.id, TaskName: t.name,
			WorkerID: dbtype.Text(t.worker),
		}
		since, registered := leases[t.worker]
		what := "the lease of its worker ended at "
		if !registered {
			since, what = t.started, "its worker has no row; it was started at "
		}
		if since.bad || !since.set || since.v > latest {
			continue
		}
		u.Since = dbtype.NewTime(time.UnixMicro(since.v))
		u.Found = "Running, but " + what + since.instant()
		p.run.report.Unheld = append(p.run.report.Unheld, u)
	}
	return nil
}
