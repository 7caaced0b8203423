package pipelines

import (
	"sync"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// fresh remembers the tasks that this process has made ready by starting their runs, until it claims them: it need not read what it
// wrote a moment ago. A row that has moved since shows by its version.
type fresh struct {
	mu   sync.Mutex
	rows map[db.ID]freshRow // by task
}

type freshRow struct {
	task      tasks.Task
	execution Execution
}

// mostFresh bounds the memory, some 5 MB: past it, the oldest are not worth keeping, for other processes claim too.
const mostFresh = 10_000

// add remembers the ready tasks of runs that were started.
func (f *fresh) add(plans []*plan) {
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
			if f.rows == nil || len(f.rows) >= mostFresh {
				f.rows = map[db.ID]freshRow{}
			}
			f.rows[n.task.ID] = freshRow{n.task, p.execution}
		}
	}
}

// take hands over what is remembered of tasks, and gives the others.
func (f *fresh) take(ids []db.ID, each func(freshRow)) (unknown []db.ID) {
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
