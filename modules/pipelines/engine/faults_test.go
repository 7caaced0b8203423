package engine_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// faults gives what may fail while a transition is written: the row, the event, the outbox, the commit.
func (c *transitionCase) faults() []dbtest.Fault {
	row := dbtest.Fault{
		Table: c.table(), On: "UPDATE",
		When: fmt.Sprintf("OLD.status = '%s' AND NEW.version > OLD.version", c.rowFrom()),
	}
	if c.created {
		row = dbtest.Fault{Table: c.table(), On: "INSERT"}
	}
	event := dbtest.Fault{
		Table: "execution_events", On: "INSERT",
		When: fmt.Sprintf("NEW.event_type = '%s'", c.event()),
	}
	commit := event
	commit.AtCommit = true
	list := []dbtest.Fault{row, event, commit}
	switch c.effect() {
	case tasks.OutboxAdd:
		list = append(list, dbtest.Fault{Table: "task_outbox", On: "INSERT"})
	case tasks.OutboxRemove:
		list = append(list, dbtest.Fault{Table: "task_outbox", On: "DELETE"})
	}
	return list
}

// TestTransitionsAreAtomic: whatever fails while a transition is written, nothing of it remains: neither the row, nor
// an event, nor a change of the outbox, nor anything else that the use case does. Once the fault is gone, the same use
// case succeeds.
func TestTransitionsAreAtomic(t *testing.T) {
	t.Parallel()
	for _, c := range transitionCases() {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
				h := newByHand(t, s, "faulty", c.tasks...)
				if err := c.reach(h); err != nil {
					t.Fatalf("the state before is not reached: %v", err)
				}
				for _, f := range c.faults() {
					refuse(t, h, c, f)
				}
				succeed(t, h, c)
			})
		})
	}
}

func refuse(t *testing.T, h *byHand, c *transitionCase, f dbtest.Fault) {
	t.Helper()
	before := state(t, h)
	mend := dbtest.Inject(t, h.s.DB, f)
	err := c.act(h)
	mend()
	if !dbtest.Injected(err) {
		t.Fatalf("%s: got error %v, expected the fault", f, err)
	}
	if diff := cmp.Diff(before, state(t, h)); diff != "" {
		t.Fatalf("%s: something remains (-before +after):\n%s", f, diff)
	}
}

// state is the content of the database. It leaves out what a recovery writes before it begins with an execution: the
// removal of workers whose lease has expired, and the count of tries.
func state(t *testing.T, h *byHand) map[string][]string {
	t.Helper()
	all := dbtest.Dump(t, h.s.DB)
	delete(all, "workers")
	delete(all, "recoveries")
	return all
}

// succeed runs the use case without a fault, and holds its row of the table to what it does.
func succeed(t *testing.T, h *byHand, c *transitionCase) {
	t.Helper()
	happened, queued := c.happened(t, h), c.queued(t, h)
	if err := c.act(h); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	if n := c.happened(t, h) - happened; n != 1 {
		t.Errorf("%d events %s were written, expected 1", n, c.event())
	}
	want := map[tasks.OutboxEffect]bool{
		tasks.OutboxAdd: true, tasks.OutboxRemove: false,
		tasks.OutboxUnchanged: queued > 0,
	}[c.effect()]
	if c.effect() == tasks.OutboxRemove && queued == 0 {
		t.Error("there is no outbox row that the transition could remove")
	}
	if now := c.queued(t, h); (now > 0) != want {
		t.Errorf("the outbox had %d rows and has %d, expected the effect %q", queued, now, c.effect())
	}
}

// happened counts the events of the case's task, or of the pipeline, that record its transition.
func (c *transitionCase) happened(t *testing.T, h *byHand) int {
	t.Helper()
	if h.id.IsZero() {
		return 0
	}
	n := 0
	for _, e := range eventsOf(t, h, c.task) {
		if e.EventType == c.event() {
			n++
		}
	}
	return n
}

// queued counts the outbox rows of the case's task, or of all tasks of the pipeline.
func (c *transitionCase) queued(t *testing.T, h *byHand) int {
	t.Helper()
	n := 0
	err := h.s.DB.Query(h.ctx,
		`SELECT count(*) FROM {task_outbox} AS o JOIN {task_executions} AS t ON t.id = o.task_execution_id
WHERE t.task_name = $task OR $task = ''`,
		db.Args{"task": c.task}, func(scan db.Scan) error { return scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eventsOf gives the events of a task, or, for "", of the pipeline itself.
func eventsOf(t *testing.T, h *byHand, task string) []events.Event {
	t.Helper()
	all, err := h.s.Events.ListByPipeline(h.ctx, h.id, eventstore.Page{})
	if err != nil {
		t.Fatal(err)
	}
	var id dbtype.ID
	if task != "" {
		id = taskNamed(t, h, task).ID
	}
	var out []events.Event
	for _, e := range all {
		if e.TaskExecutionID == id {
			out = append(out, e)
		}
	}
	return out
}

func taskNamed(t *testing.T, h *byHand, name string) tasks.Task {
	t.Helper()
	list, err := h.s.Tasks.ListByPipeline(h.ctx, h.id)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range list {
		if x.TaskName == name {
			return x
		}
	}
	t.Fatalf("no task %s", name)
	return tasks.Task{}
}

// TestEveryTransitionHasItsFaults: a transition that is added to a table, or a status added to one, needs a row above.
func TestEveryTransitionHasItsFaults(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	for _, c := range transitionCases() {
		have[c.key()] = true
	}
	want := map[string]bool{}
	for _, x := range tasks.Transitions() {
		if len(x.From) == 0 {
			want["task "+x.Name+" from "] = true
		}
		for _, from := range x.From {
			want["task "+x.Name+" from "+string(from)] = true
		}
	}
	for _, x := range pipelines.Transitions() {
		if len(x.From) == 0 {
			want["pipeline "+x.Name+" from "] = true
		}
		for _, from := range x.From {
			want["pipeline "+x.Name+" from "+string(from)] = true
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("cases (-transition tables +cases):\n%s", diff)
	}
}
