package engine_test

import (
	"slices"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/oracle"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// move is a transition of the run.
func (r *modelRun) move(to pipelines.Status) {
	r.status = to
	r.version++
}

// move is a transition of the task.
func (x *modelTask) move(to tasks.Status, sub tasks.SubStatus) {
	x.status, x.sub, x.late = to, sub, false
	x.version++
}

// claim gives a due task to a worker: claimed and started, and resumed between the two if it was deferred.
func (x *modelTask) claim(worker string) {
	if x.sub == tasks.Deferred {
		x.version++
	} else {
		x.attempt++
	}
	x.version++
	x.move(tasks.Running, tasks.Active)
	x.worker = worker
}

// outcome is how a held claim ends.
func (x *modelTask) outcome(o *pipelines.Outcome) {
	hard := o.ErrorKind == tasks.KindPermanent
	switch o.Kind {
	case pipelines.OutcomeSucceeded:
		x.move(tasks.Completed, "")
		return
	case pipelines.OutcomeDeferred:
		x.move(tasks.Ready, tasks.Deferred)
		x.late = hard
	case pipelines.OutcomeReleased:
		x.move(tasks.Ready, "")
	default:
		if x.failures++; hard || x.failures >= x.def.Retry.MaxAttempts {
			x.move(tasks.Failed, "")
			return
		}
		x.move(tasks.Ready, "")
		x.late = x.def.Retry.Delay == time.Hour
	}
	x.worker = ""
}

// lose takes the tasks of a worker back, and counts them.
func (r *modelRun) lose(worker string) (n int) {
	for _, x := range r.tasks {
		if x.status != tasks.Running || x.worker != worker {
			continue
		}
		n++
		x.worker = ""
		if x.recoveries == pipelines.MaxRecoveries {
			x.move(tasks.Abandoned, "")
			continue
		}
		x.recoveries++
		x.move(tasks.Ready, "")
	}
	r.follow()
	return n
}

func (r *modelRun) cancel() {
	for _, x := range r.tasks {
		if !x.status.Terminal() {
			x.move(tasks.Cancelled, "")
			x.worker = ""
		}
	}
	r.move(pipelines.Cancelled)
}

// chosen is what a retry runs again.
func (r *modelRun) chosen(from string) (list []*modelTask) {
	if from == "" && r.status == pipelines.Completed || from != "" && r.tasks[from] == nil {
		return nil
	}
	again := map[string]bool{}
	for _, name := range r.def.Order() {
		x := r.tasks[name]
		switch x.status {
		case tasks.Failed, tasks.Abandoned:
			again[name] = from == ""
		case tasks.Cancelled:
			again[name] = true
		}
		if name == from || slices.ContainsFunc(x.def.Needs, func(need string) bool { return again[need] }) {
			again[name] = true
		}
		if again[name] {
			list = append(list, x)
		}
	}
	return list
}

// useless reports a retry from a task that would be skipped again at once.
func (r *modelRun) useless(from string) bool {
	if from == "" {
		return false
	}
	c := *r
	c.tasks = map[string]*modelTask{}
	for name, x := range r.tasks {
		y := *x
		y.run = &c
		c.tasks[name] = &y
	}
	c.reopen(c.chosen(from))
	return c.tasks[from].status == tasks.Skipped
}

func (r *modelRun) reopen(list []*modelTask) {
	r.move(pipelines.Running)
	for _, x := range list {
		x.move(tasks.NotStarted, "")
		x.worker, x.failures, x.recoveries, x.above = "", 0, 0, false
	}
	r.follow()
}

// open counts the dependencies of a task that have not ended.
func (r *modelRun) open(x *modelTask) (n int) {
	for _, need := range x.def.Needs {
		if !r.tasks[need].status.Terminal() {
			n++
		}
	}
	return n
}

func (r *modelRun) counts() (open, unsuccessful int) {
	for _, x := range r.tasks {
		switch {
		case !x.status.Terminal():
			open++
		case x.status != tasks.Completed:
			unsuccessful++
		}
	}
	return open, unsuccessful
}

// follow decides, in topological order, the tasks whose rule says what becomes of them, and ends the run if nothing is
// open.
func (r *modelRun) follow() {
	for _, name := range r.def.Order() {
		x := r.tasks[name]
		if x.status != tasks.NotStarted {
			continue
		}
		var ended []string
		for _, need := range x.def.Needs {
			ended = append(ended, oracle.Kind(string(r.tasks[need].status), r.tasks[need].above))
		}
		switch says := oracle.Rule(string(x.def.TriggerRule), ended); says {
		case "run":
			x.move(tasks.Ready, "")
		case "skip", "fail":
			x.move(tasks.Skipped, "")
			x.above = says == "fail"
		}
	}
	if open, _ := r.counts(); open > 0 || r.status.Terminal() {
		return
	}
	end := pipelines.Completed
	for _, x := range r.tasks {
		if (x.status == tasks.Failed || x.status == tasks.Abandoned) && !x.def.ContinueOnError {
			end = pipelines.Failed
		}
	}
	r.move(end)
}
