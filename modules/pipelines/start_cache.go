package pipelines

import (
	"sync"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// startCache remembers the tasks that this process has made ready by starting their runs, until it claims them: it need
// not read what it wrote a moment ago. A row that has moved since shows by its version.
type startCache struct {
	mu   sync.Mutex
	rows map[db.ID]startedRow // by task
}

type startedRow struct {
	task      tasks.Task
	execution Execution
}

// maxStarted bounds the memory, some 5 MB: past it, the oldest are not worth keeping, for other processes claim too.
const maxStarted = 10_000

// add remembers the ready tasks of runs that were started.
func (f *startCache) add(plans []*plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range plans {
		if p.execution.Status != Running {
			continue
		}
		for _, n := range p.order {
			if n.task.Status != tasks.Ready {
				continue
			}
			if f.rows == nil || len(f.rows) >= maxStarted {
				f.rows = map[db.ID]startedRow{}
			}
			f.rows[n.task.ID] = startedRow{n.task, p.execution}
		}
	}
}

// pop hands over what is remembered of tasks, and gives the others.
func (f *startCache) pop(ids []db.ID, each func(startedRow)) (unknown []db.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if row, ok := f.rows[id]; ok {
			delete(f.rows, id)
			each(row)
		} else {
			unknown = append(unknown, id)
		}
	}
	return unknown
}
