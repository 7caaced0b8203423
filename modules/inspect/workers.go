package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Workers is the worker processes and the tasks that they run.
type Workers struct {
	Now     time.Time // the database's time of the reading
	workers []leases.Worker
	running map[string][]tasks.Task // by worker, longest running first
}

// ReadWorkers reads the workers as they are now. It reads the tasks first, because a worker registers before it claims
// tasks.
func ReadWorkers(ctx context.Context, d *db.DB, l *leases.Repository, r *taskstore.Repository) (Workers, error) {
	running, err := r.ListRunning(ctx)
	if err != nil {
		return Workers{}, err
	}
	ws := Workers{running: map[string][]tasks.Task{}, Now: d.Now()}
	for _, t := range running {
		ws.running[string(t.WorkerID)] = append(ws.running[string(t.WorkerID)], t)
	}
	ws.workers, err = l.List(ctx)
	return ws, err
}

// alive reports whether a worker's lease has not expired.
func (ws Workers) alive(w leases.Worker) bool { return w.LeaseExpiresAt.After(ws.Now) }

// live returns the workers that are alive and for which holds returns true.
func (ws Workers) live(holds func(leases.Worker) bool) []leases.Worker {
	return slices.DeleteFunc(slices.Clone(ws.workers), func(w leases.Worker) bool { return !ws.alive(w) || !holds(w) })
}

// draining counts the live workers that claim no more tasks.
func (ws Workers) draining() int { return len(ws.live(leases.Worker.Draining)) }

// all returns the workers, followed by those that have no row any more but whose tasks have not been recovered.
func (ws Workers) all() []leases.Worker {
	list := slices.Clone(ws.workers)
	for _, id := range slices.Sorted(maps.Keys(ws.running)) {
		if !slices.ContainsFunc(ws.workers, func(w leases.Worker) bool { return w.ID == id }) {
			list = append(list, leases.Worker{ID: id})
		}
	}
	return list
}

func listed(list, name string) bool { return slices.Contains(strings.Split(list, ","), name) }

// served reports whether a live worker would claim a task when it has a free slot.
func (ws Workers) served(handler, queue string) bool {
	return len(ws.live(func(w leases.Worker) bool {
		return listed(w.Handlers, handler) &&
			listed(w.Queues, queue)
	})) > 0
}

// Due says why a task that may be claimed from the time at, or at once if at is zero, has not been claimed.
func (ws Workers) Due(at dbtype.Time, handler, queue string) string {
	if at.After(ws.Now) {
		return "due in " + Span(at.Sub(ws.Now))
	}
	if worker, private := outbox.PrivateWorker(queue); private {
		return ws.reserved(worker, handler)
	}
	able := ws.live(func(w leases.Worker) bool { return listed(w.Handlers, handler) && !w.Draining() })
	serving := slices.DeleteFunc(slices.Clone(able), func(w leases.Worker) bool { return !listed(w.Queues, queue) })
	switch {
	case len(able) == 0:
		serve := "sluice serve"
		if queue != tasks.DefaultQueue {
			serve += " --queues " + queue
		}
		only := ""
		if n := ws.draining(); n > 0 {
			only = fmt.Sprintf(" (%d draining)", n)
		}
		return fmt.Sprintf("no live worker serves handler %q%s: start `%s`", handler, only, serve)
	case len(serving) == 0:
		return fmt.Sprintf("no live worker with handler %q serves queue %q: start `sluice serve --queues %s`",
			handler, queue, queue)
	}
	return ws.full(serving, handler)
}

// reserved says why a due task that is reserved for one worker has not been claimed.
func (ws Workers) reserved(worker, handler string) string {
	alone := ws.live(func(w leases.Worker) bool { return w.ID == worker })
	switch {
	case len(alone) == 0:
		return "due: reserved for a sluice run process that is not heard of any more (worker " + worker +
			"): any worker may claim it once the lease is over"
	case alone[0].Draining():
		return fmt.Sprintf("due: reserved for the sluice run process %d on %s, which is draining: "+
			"any worker may claim it once that has ended", alone[0].PID, alone[0].Hostname)
	}
	return fmt.Sprintf("reserved for the sluice run process %d on %s, %s", alone[0].PID, alone[0].Hostname,
		ws.full(alone, handler))
}

// full says what the workers that serve a task have used up: their slots, or their capacity for its handler.
func (ws Workers) full(serving []leases.Worker, handler string) string {
	slots, used, places, saturated := 0, 0, 0, 0
	for _, w := range serving {
		slots, used = slots+w.Slots, used+len(ws.running[w.ID])
		if len(ws.running[w.ID]) >= w.Slots {
			continue
		}
		limit := limitOf(w.Limits, handler)
		if limit == 0 || ws.runs(w, handler) < limit {
			return "due: about to be claimed"
		}
		places, saturated = places+limit, saturated+1
	}
	if saturated == 0 {
		return fmt.Sprintf("due: waiting for a free worker slot (%d of %d taken)", used, slots)
	}
	return fmt.Sprintf("due: waiting for a free place for %s (%d of %d taken in %s: "+
		"`serve --handler-limit %s=N` changes that)", handler, places, places, Counted(int64(saturated), "worker"),
		handler)
}

// runs counts the tasks of a handler that a worker runs.
func (ws Workers) runs(w leases.Worker, handler string) (n int) {
	for _, t := range ws.running[w.ID] {
		if t.Handler == handler {
			n++
		}
	}
	return n
}

// unheld returns how long no live worker has held a running task, or 0 if one holds it.
func (ws Workers) unheld(t tasks.Task) time.Duration {
	for _, w := range ws.workers {
		if w.ID == string(t.WorkerID) {
			return max(0, ws.Now.Sub(w.LeaseExpiresAt.Time))
		}
	}
	return ws.Now.Sub(t.StartedAt.Time)
}

// unattended says what happens to a running task whose worker is not alive. It returns "" if the worker is alive.
func (ws Workers) unattended(t tasks.Task) string {
	for _, w := range ws.workers {
		switch {
		case w.ID != string(t.WorkerID):
		case ws.alive(w):
			return ""
		default:
			return "the lease of its worker expired " + Span(ws.Now.Sub(w.LeaseExpiresAt.Time)) +
				" ago: a live worker takes the task back"
		}
	}
	return "its worker is gone: a live worker takes the task back"
}

// limitOf returns a handler's limit from a worker's limits, such as http=256,shell=64, or 0 if it has none.
func limitOf(limits, handler string) int {
	for part := range strings.SplitSeq(limits, ",") {
		if name, number, _ := strings.Cut(part, "="); name == handler {
			n, err := strconv.Atoi(number)
			if err == nil {
				return n
			}
		}
	}
	return 0
}
