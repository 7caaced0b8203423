package inspect

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func second(n int) dbtype.Time { return dbtype.NewTime(time.Date(2026, 11, 22, 8, 0, n, 0, time.UTC)) }

// worker returns a worker with two slots whose lease expires at a second.
func worker(id, handlers, queues, limits string, expires int) leases.Worker {
	return leases.Worker{
		ID: id, Hostname: "host", PID: 7, Slots: 2, Handlers: handlers, Queues: queues, Limits: limits,
		StartedAt: second(0), LeaseExpiresAt: second(expires),
	}
}

// TestDue checks each reason for which a task that may be claimed has not been claimed, and that workers that have
// expired or are draining do not count.
func TestDue(t *testing.T) {
	t.Parallel()
	runs := func(handlers ...string) (list []tasks.Task) {
		for _, h := range handlers {
			list = append(list, tasks.Task{Handler: h, WorkerID: "w", StartedAt: second(5)})
		}
		return list
	}
	const unserved = "no live worker serves handler \"shell\": start `sluice serve`"
	private := outbox.PrivateQueue("w")
	for name, c := range map[string]struct {
		worker  leases.Worker
		running []tasks.Task
		at      int
		queue   string
		want    string
	}{
		"later":            {worker("w", "shell", "default", "", 60), nil, 12, "default", "due in 2.0s"},
		"another handler":  {worker("w", "http", "default", "", 60), nil, 9, "default", unserved},
		"an expired lease": {worker("w", "shell", "default", "", 9), nil, 9, "default", unserved},
		"draining": {
			worker("w", "shell", "", "", 60), nil, 9, "default",
			"no live worker serves handler \"shell\" (1 draining): start `sluice serve`",
		},
		"its queue": {worker("w", "http", "default", "", 60), nil, 9, "gpu", unserved[:len(unserved)-1] +
			" --queues gpu`"},
		"another queue": {
			worker("w", "http,shell", "default", "", 60), nil, 9, "gpu",
			"no live worker with handler \"shell\" serves queue \"gpu\": start `sluice serve --queues gpu`",
		},
		"a free slot": {
			worker("w", "shell", "default,gpu", "", 60), runs("http"), 9, "gpu",
			"due: about to be claimed",
		},
		"no free slot": {
			worker("w", "shell", "default", "", 60), runs("http", "http"), 9, "default",
			"due: waiting for a free worker slot (2 of 2 taken)",
		},
		"a handler's limit": {
			worker("w", "shell", "default", "http=9,shell=1", 60), runs("shell"), 9, "default",
			"due: waiting for a free place for shell (1 of 1 taken in 1 worker: " +
				"`serve --handler-limit shell=N` changes that)",
		},
		"below a limit": {
			worker("w", "shell", "default", "http=1,shell=2", 60), runs("shell"), 9, "default",
			"due: about to be claimed",
		},
		"reserved": {
			worker("w", "shell", "default", "", 60), nil, 9, private,
			"reserved for the sluice run process 7 on host, due: about to be claimed",
		},
		"reserved, draining": {
			worker("w", "shell", "", "", 60), nil, 9, private,
			"due: reserved for the sluice run process 7 on host, which is draining: " +
				"any worker may claim it once that has ended",
		},
		"reserved, expired": {
			worker("w", "shell", "default", "", 9), nil, 9, private,
			"due: reserved for a sluice run process that is not heard of any more (worker w): " +
				"any worker may claim it once the lease is over",
		},
	} {
		running := map[string][]tasks.Task{"w": c.running}
		ws := Workers{Now: second(10).Time, workers: []leases.Worker{c.worker}, running: running}
		if got := ws.Due(second(c.at), "shell", c.queue); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, c.want)
		}
	}
}

// TestWaiting checks the reason of each task that is not running, now and for a moment of the past, and that a running
// task is named if no live worker holds it.
func TestWaiting(t *testing.T) {
	t.Parallel()
	ids := make([]dbtype.ID, 6)
	for i := range ids {
		ids[i] = dbtype.NewID()
	}
	var list []events.Event
	add := func(at int, task int, kind events.Type, version int64, actor, data string) {
		e := events.Event{
			SequenceNum: int64(len(list) + 1), EventType: kind, Version: &version, EventData: dbtype.JSON(data),
			Actor: dbtype.Text(actor), CreatedAt: second(at),
		}
		if task >= 0 {
			e.TaskExecutionID = ids[task]
		}
		list = append(list, e)
	}
	add(0, 1, events.TaskCreated, 1, "", `{"needs": ["held", "done"]}`)
	add(1, 2, events.TaskMarkedReady, 1, "", `{}`)
	add(2, 3, events.TaskDeferred, 1, "", `{"reason": "not yet"}`)
	add(3, 4, events.TaskRetryScheduled, 1, "", `{"error": "no"}`)
	add(4, -1, events.PipelinePaused, 1, "ann", `{"reason": "lunch"}`)
	run := Run{Past: history.Fold(list), Execution: pipelines.Execution{Status: pipelines.Running}, Tasks: []tasks.Task{
		{ID: ids[0], TaskName: "held", Status: tasks.Running, WorkerID: "w"},
		{ID: ids[1], TaskName: "next", Status: tasks.NotStarted},
		{ID: ids[2], TaskName: "due", Status: tasks.Ready, Handler: "shell", Queue: "default"},
		{
			ID: ids[3], TaskName: "later", Status: tasks.Ready, SubStatus: tasks.Deferred, Handler: "shell",
			RetryAt: second(15),
		},
		{ID: ids[4], TaskName: "again", Status: tasks.Ready, Handler: "shell", RetryAt: second(11)},
		{ID: ids[5], TaskName: "done", Status: tasks.Completed},
	}}
	check := func(when string, got []Waiting, want ...Waiting) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", when, diff)
		}
	}
	now := second(10).Time
	ws := Workers{Now: now, workers: []leases.Worker{worker("w", "shell", "default", "", 60)}}
	next := Waiting{"next", "waits for held (Running)"}
	check("now", run.Waiting(ws), next, Waiting{"due", "ready for 9.0s, due: about to be claimed"},
		Waiting{"later", "deferred until : not yet (due in 5.0s)"}, Waiting{"again", "retry due in 1.0s"})
	check("then", run.WaitingAt(now), next, Waiting{"due", "due: waiting for a worker"},
		Waiting{"later", "deferred until : not yet (due in 5.0s)"}, Waiting{"again", "due in 1.0s"})

	run.Execution.Status = pipelines.Paused
	ws.workers[0].LeaseExpiresAt = second(8)
	by := "the pipeline was paused by ann at " + Moment(second(4)) + ": lunch"
	check("paused", run.Waiting(ws),
		Waiting{"held", "the lease of its worker expired 2.0s ago: a live worker takes the task back"},
		Waiting{"next", next.Reason + "; " + by}, Waiting{"due", by}, Waiting{"later", by}, Waiting{"again", by})
	ws.workers = nil
	if got := run.Waiting(ws)[0].Reason; got != "its worker is gone: a live worker takes the task back" {
		t.Errorf("without a row of its worker: %s", got)
	}
}
