package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// processes is the worker processes and the tasks that they run.
type processes struct {
	workers []leases.Worker
	running map[string][]tasks.Task // by worker, longest running first
	now     time.Time               // the database's time
}

// readProcesses reads the fleet as it is now. It reads the tasks first, because a worker registers before it claims
// tasks.
func readProcesses(ctx context.Context, d *db.DB, l *leases.Repository, r *taskstore.Repository) (processes, error) {
	running, err := r.ListRunning(ctx)
	if err != nil {
		return processes{}, err
	}
	f := processes{running: map[string][]tasks.Task{}, now: d.Now()}
	for _, t := range running {
		f.running[string(t.WorkerID)] = append(f.running[string(t.WorkerID)], t)
	}
	f.workers, err = l.List(ctx)
	return f, err
}

// alive reports whether a worker's lease has not expired.
func (f processes) alive(w leases.Worker) bool { return w.LeaseExpiresAt.After(f.now) }

// live returns the workers that are alive and for which holds returns true.
func (f processes) live(holds func(leases.Worker) bool) []leases.Worker {
	return slices.DeleteFunc(slices.Clone(f.workers), func(w leases.Worker) bool { return !f.alive(w) || !holds(w) })
}

// draining counts the live workers that claim no more tasks.
func (f processes) draining() int { return len(f.live(leases.Worker.Draining)) }

// withGone returns the workers, followed by those that have no row any more but whose tasks have not been recovered.
func (f processes) withGone() []leases.Worker {
	list := slices.Clone(f.workers)
	for _, id := range slices.Sorted(maps.Keys(f.running)) {
		if !slices.ContainsFunc(f.workers, func(w leases.Worker) bool { return w.ID == id }) {
			list = append(list, leases.Worker{ID: id})
		}
	}
	return list
}

func listed(list, name string) bool { return slices.Contains(strings.Split(list, ","), name) }

// served reports whether a live worker would claim a task when it has a free slot.
func (f processes) served(handler, queue string) bool {
	return len(f.live(func(w leases.Worker) bool { return listed(w.Handlers, handler) && listed(w.Queues, queue) })) > 0
}

// due says why a task that may be claimed from the time at has not been claimed.
func (f processes) due(at dbtype.Time, handler, queue string) string {
	if at.After(f.now) {
		return "due in " + span(at.Sub(f.now))
	}
	if worker, private := outbox.PrivateWorker(queue); private {
		return f.reserved(worker, handler)
	}
	able := f.live(func(w leases.Worker) bool { return listed(w.Handlers, handler) && !w.Draining() })
	serving := slices.DeleteFunc(slices.Clone(able), func(w leases.Worker) bool { return !listed(w.Queues, queue) })
	switch {
	case len(able) == 0:
		serve := "sluice serve"
		if queue != tasks.DefaultQueue {
			serve += " --queues " + queue
		}
		only := ""
		if n := f.draining(); n > 0 {
			only = fmt.Sprintf(" (%d draining)", n)
		}
		return fmt.Sprintf("no live worker serves handler %q%s: start `%s`", handler, only, serve)
	case len(serving) == 0:
		return fmt.Sprintf("no live worker with handler %q serves queue %q: start `sluice serve --queues %s`", handler, queue, queue)
	}
	return f.full(serving, handler)
}

// reserved says why a due task that is reserved for one worker has not been claimed.
func (f processes) reserved(worker, handler string) string {
	alone := f.live(func(w leases.Worker) bool { return w.ID == worker })
	switch {
	case len(alone) == 0:
		return "due: reserved for a sluice run process that is not heard of any more (worker " + worker + "): any worker may claim it once the lease is over"
	case alone[0].Draining():
		return fmt.Sprintf("due: reserved for the sluice run process %d on %s, which is draining: any worker may claim it once that has ended",
			alone[0].PID, alone[0].Hostname)
	}
	return fmt.Sprintf("reserved for the sluice run process %d on %s, %s", alone[0].PID, alone[0].Hostname, f.full(alone, handler))
}

// full says what the workers that serve a task have used up: their slots, or their capacity for its handler.
func (f processes) full(serving []leases.Worker, handler string) string {
	slots, used, places, saturated := 0, 0, 0, 0
	for _, w := range serving {
		slots, used = slots+w.Slots, used+len(f.running[w.ID])
		if len(f.running[w.ID]) >= w.Slots {
			continue
		}
		limit := limitOf(w.Limits, handler)
		if limit == 0 || f.runs(w, handler) < limit {
			return "due: about to be claimed"
		}
		places, saturated = places+limit, saturated+1
	}
	if saturated == 0 {
		return fmt.Sprintf("due: waiting for a free worker slot (%d of %d taken)", used, slots)
	}
	return fmt.Sprintf("due: waiting for a free place for %s (%d of %d taken in %s: `serve --handler-limit %s=N` changes that)",
		handler, places, places, counted(int64(saturated), "worker"), handler)
}

// runs counts the tasks of a handler that a worker runs.
func (f processes) runs(w leases.Worker, handler string) (n int) {
	for _, t := range f.running[w.ID] {
		if t.Handler == handler {
			n++
		}
	}
	return n
}

// unheld returns how long no live worker has held a running task, or 0 if one holds it.
func (f processes) unheld(t tasks.Task) time.Duration {
	for _, w := range f.workers {
		if w.ID == string(t.WorkerID) {
			return max(0, f.now.Sub(w.LeaseExpiresAt.Time))
		}
	}
	return f.now.Sub(t.StartedAt.Time)
}

// lost says what happens to a running task whose worker is not alive. It returns "" if the worker is alive.
func (f processes) lost(t tasks.Task) string {
	for _, w := range f.workers {
		switch {
		case w.ID != string(t.WorkerID):
		case f.alive(w):
			return ""
		default:
			return "the lease of its worker expired " + span(f.now.Sub(w.LeaseExpiresAt.Time)) + " ago: a live worker takes the task back"
		}
	}
	return "its worker is gone: a live worker takes the task back"
}
