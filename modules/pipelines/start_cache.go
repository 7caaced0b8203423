package pipelines

import (
	"sync"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// startCache caches the tasks that this process made ready by starting runs, until it claims them. The claim then need
// not read the rows. If a row has changed since, the claim gets a version conflict and is repeated without the cache.
type startCache struct {
	mu   sync.Mutex
	rows map[db.ID]startedRow // by task id
}

type startedRow struct {
	task      tasks.Task
	execution Execution
}

// maxStarted is the maximum number of cached tasks, about 5 MB. A full cache is cleared, because other processes have
// probably claimed its tasks.
const maxStarted = 10_000

// add caches the ready tasks of runs that were started.
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

// pop removes the given tasks from the cache and calls each for those found. It returns the ids of the others.
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
