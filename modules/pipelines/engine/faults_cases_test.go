package engine_test

import (
	"cmp"
	"time"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// transitionCase is one transition out of one status, by the use case that makes it.
type transitionCase struct {
	move     *tasks.Transition     // of a task, or
	run      *pipelines.Transition // of the pipeline itself
	from     string
	variant  string                // tells cases of one transition and status apart
	task     string                // whose transition it is
	tasks    []definition.Task     // the pipeline's
	reach    func(h *byHand) error // what happens before
	act      func(h *byHand) error // the use case
	row      string                // the status that the row leaves, where the transition is composed into a claim
	created  bool                  // the row is written for the first time
	pipeline tasks.OutboxEffect    // what a pipeline's transition does to the outbox
}

func (c *transitionCase) key() string {
	if c.move != nil {
		return "task " + c.move.Name + " from " + c.from
	}
	return "pipeline " + c.run.Name + " from " + c.from
}

func (c *transitionCase) String() string {
	if c.variant == "" {
		return c.key()
	}
	return c.key() + " by " + c.variant
}

func (c *transitionCase) event() events.Type {
	if c.move != nil {
		return c.move.Event
	}
	return c.run.Event
}

func (c *transitionCase) table() string {
	if c.move != nil {
		return "task_executions"
	}
	return "pipeline_executions"
}

func (c *transitionCase) rowFrom() string { return cmp.Or(c.row, c.from) }

// effect is what the transition does to the outbox here: one out of a status that has no row removes none.
func (c *transitionCase) effect() tasks.OutboxEffect {
	switch {
	case c.move == nil:
		return c.pipeline
	case c.row != "":
		return tasks.TransitionClaim.Outbox // it is composed into a claim
	case c.move.Outbox == tasks.OutboxRemove && c.from != string(tasks.Ready):
		return tasks.OutboxUnchanged
	}
	return c.move.Outbox
}

// forget removes the stored definition, as an operator's hand or a lost backup would. What follows is done by another
// process, which has no copy in memory.
func forget(h *byHand) error {
	h.s = enginetest.New(h.t, h.s.DB, &enginetest.Scripted{})
	return h.s.DB.Transaction(h.ctx, func(tx db.Tx) error {
		_, err := tx.Exec(`DELETE FROM {pipeline_definitions}`, nil)
		return err
	})
}

// remember stores it again.
func remember(h *byHand) error {
	_, err := h.s.Engine.Register(h.ctx, h.def, time.Time{})
	return err
}

// loseOften has a task lost with its worker as often as it may be.
func loseOften(h *byHand) error {
	for range pipelines.MaxRecoveries {
		if err := inTurn((*byHand).lose, (*byHand).recover)(h); err != nil {
			return err
		}
	}
	return h.lose()
}

func nothing(*byHand) error { return nil }

func transitionCases() []*transitionCase {
	return append(append(taskCases(), endedTaskCases()...), pipelineCases()...)
}

func taskCases() []*transitionCase {
	one, two := []definition.Task{work("a")}, []definition.Task{work("a"), work("b", "a")}
	start := (*byHand).start
	running := inTurn(start, (*byHand).hire, claims(1)) // a runs
	return []*transitionCase{
		{move: &tasks.TransitionCreate, task: "b", tasks: two, reach: nothing, act: start, created: true},
		{
			move: &tasks.TransitionMarkReady, from: "NotStarted", variant: "start", task: "a", tasks: one,
			reach: nothing,
			act:   start, created: true,
		},
		{
			move: &tasks.TransitionMarkReady, from: "NotStarted", task: "b", tasks: two, reach: running,
			act: ends("a", pipelines.OutcomeSucceeded),
		},
		{
			move: &tasks.TransitionClaim, from: "Ready", task: "a", tasks: one, reach: inTurn(start, (*byHand).hire),
			act: claims(1),
		},
		{
			move: &tasks.TransitionResume, from: "Running", row: "Ready", task: "a", tasks: one,
			reach: inTurn(running, ends("a", pipelines.OutcomeDeferred)), act: claims(1),
		},
		{
			move: &tasks.TransitionMarkStarted, from: "Running", row: "Ready", task: "a", tasks: one,
			reach: inTurn(start, (*byHand).hire), act: claims(1),
		},
		{
			move: &tasks.TransitionDefer, from: "Running", task: "a", tasks: one, reach: running,
			act: ends("a", pipelines.OutcomeDeferred),
		},
		{
			move: &tasks.TransitionComplete, from: "Running", task: "a", tasks: two, reach: running,
			act: ends("a", pipelines.OutcomeSucceeded),
		},
		{
			move: &tasks.TransitionScheduleRetry, from: "Running", task: "a", tasks: one, reach: running,
			act: ends("a", pipelines.OutcomeFailed),
		},
		{move: &tasks.TransitionFail, from: "Running", task: "a", tasks: one, reach: running, act: breaks("a")},
		{
			move: &tasks.SkipRunning, from: "Running", task: "a", tasks: two, reach: running,
			act: ends("a", pipelines.OutcomeSkipped),
		},
		{move: &tasks.TransitionSkip, from: "NotStarted", task: "b", tasks: two, reach: running, act: breaks("a")},
		{
			move: &tasks.TransitionReset, from: "Running", variant: "recovery", task: "a", tasks: one,
			reach: inTurn(start, (*byHand).lose), act: (*byHand).recover,
		},
		{
			move: &tasks.TransitionReset, from: "Running", variant: "release", task: "a", tasks: one, reach: running,
			act: ends("a", pipelines.OutcomeReleased),
		},
	}
}

// endedTaskCases are the transitions into and out of an unhappy end.
func endedTaskCases() []*transitionCase {
	two := []definition.Task{work("a"), work("b", "a")}
	three := []definition.Task{work("a"), work("c"), work("b", "a")}
	start, retry, cancel := (*byHand).start, (*byHand).retry, (*byHand).cancel
	running := inTurn(start, (*byHand).hire, claims(1)) // a runs
	gone := inTurn(start, (*byHand).hire, forget)
	return []*transitionCase{
		{
			move: &tasks.TransitionReopen, from: "Failed", task: "b",
			tasks: []definition.Task{work("a"), withRule(work("b", "a"), definition.Always)},
			reach: inTurn(running, breaks("a"), claims(1), breaks("b")), act: retry,
		},
		{
			move: &tasks.TransitionReopen, from: "Completed", task: "b",
			tasks: []definition.Task{work("a"), work("b", "a"), work("c", "b")},
			reach: inTurn(running, ends("a", pipelines.OutcomeSucceeded), claims(1),
				ends("b", pipelines.OutcomeSucceeded), claims(1), breaks("c")), act: retryFrom("a"),
		},
		{
			move: &tasks.TransitionReopen, from: "Abandoned", task: "b", tasks: two,
			reach: inTurn(gone, claims(1), remember), act: retry,
		},
		{
			move: &tasks.TransitionReopen, from: "Cancelled", task: "b", tasks: two, reach: inTurn(running, cancel),
			act: retry,
		},
		{
			move: &tasks.TransitionReopen, from: "Skipped", task: "b", tasks: two, reach: inTurn(running, breaks("a")),
			act: retry,
		},
		{
			move: &tasks.TransitionAbandon, from: "NotStarted", variant: "a lost definition", task: "b", tasks: two,
			reach: gone, act: claims(1),
		},
		{
			move: &tasks.TransitionAbandon, from: "NotStarted", variant: "a condition that fails", task: "b",
			tasks: []definition.Task{work("a"), withCondition(work("b", "a"), "needs.a.by + 1 > 2")}, reach: running,
			act: ends("a", pipelines.OutcomeSucceeded),
		},
		{move: &tasks.TransitionAbandon, from: "Ready", task: "a", tasks: two, reach: gone, act: claims(1)},
		{
			move: &tasks.TransitionAbandon, from: "Running", task: "a", tasks: two, reach: inTurn(start, loseOften),
			act: (*byHand).recover,
		},
		{move: &tasks.TransitionCancel, from: "NotStarted", task: "b", tasks: three, reach: running, act: cancel},
		{move: &tasks.TransitionCancel, from: "Ready", task: "c", tasks: three, reach: running, act: cancel},
		{move: &tasks.TransitionCancel, from: "Running", task: "a", tasks: three, reach: running, act: cancel},
	}
}

func pipelineCases() []*transitionCase {
	one := []definition.Task{work("a")}
	start, pause, resume, cancel, retry := (*byHand).start, (*byHand).pause, (*byHand).resume, (*byHand).
		cancel, (*byHand).retry
	running := inTurn(start, (*byHand).hire, claims(1))
	return []*transitionCase{
		{
			run: &pipelines.TransitionStart, tasks: one, reach: nothing, act: start, created: true,
			pipeline: tasks.OutboxAdd,
		},
		{
			run: &pipelines.TransitionComplete, from: "Running", tasks: one, reach: running,
			act: ends("a", pipelines.OutcomeSucceeded),
		},
		{
			run: &pipelines.TransitionComplete, from: "Paused", tasks: one, reach: inTurn(running, pause),
			act: ends("a", pipelines.OutcomeSucceeded),
		},
		{run: &pipelines.TransitionFail, from: "Running", tasks: one, reach: running, act: breaks("a")},
		{run: &pipelines.TransitionFail, from: "Paused", tasks: one, reach: inTurn(running, pause), act: breaks("a")},
		{
			run: &pipelines.TransitionPause, from: "Running", tasks: one, reach: start, act: pause,
			pipeline: tasks.OutboxRemove,
		},
		{
			run: &pipelines.TransitionResume, from: "Paused", tasks: one, reach: inTurn(start, pause), act: resume,
			pipeline: tasks.OutboxAdd,
		},
		{
			run: &pipelines.TransitionCancel, from: "Running", tasks: one, reach: start, act: cancel,
			pipeline: tasks.OutboxRemove,
		},
		{run: &pipelines.TransitionCancel, from: "Paused", tasks: one, reach: inTurn(start, pause), act: cancel},
		{
			run: &pipelines.TransitionRestart, from: "Failed", tasks: one,
			reach: inTurn(running, breaks("a")), act: retry,
			pipeline: tasks.OutboxAdd,
		},
		{run: &pipelines.TransitionRestart, from: "Completed", tasks: one, reach: inTurn(running,
			ends("a", pipelines.OutcomeSucceeded)), act: retryFrom("a"), pipeline: tasks.OutboxAdd},
		{
			run: &pipelines.TransitionRestart, from: "Cancelled", tasks: one, reach: inTurn(start, cancel), act: retry,
			pipeline: tasks.OutboxAdd,
		},
	}
}
