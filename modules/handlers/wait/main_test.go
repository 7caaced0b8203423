package wait_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/handlers/wait"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// each runs a test on both databases, with both handlers and the scripted one.
func each(t *testing.T, run func(t *testing.T, s *enginetest.Stack)) {
	t.Helper()
	w := wait.NewWait()
	t.Cleanup(w.Close)
	enginetest.Each(t, []tasks.Handler{wait.NewSleep(), w, &enginetest.Scripted{}}, run)
}

// task returns a task that uses the handler. with is JSON.
func task(id, uses, with string) definition.Task {
	return definition.Task{ID: id, Uses: uses, With: json.RawMessage(with)}
}

// history returns the events of a task in short form, in their order.
func history(t *testing.T, s *enginetest.Stack, id dbtype.ID, name string) (types string, list []events.Event) {
	t.Helper()
	all, err := s.Tasks.ListByPipeline(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range all {
		if x.TaskName != name {
			continue
		}
		if list, err = s.Events.ListByTask(context.Background(), x.ID, eventstore.Page{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range list {
		types = strings.TrimSpace(types + " " + strings.TrimPrefix(string(e.EventType), "task_"))
	}
	return types, list
}

// read returns the current row of a task.
func read(t *testing.T, s *enginetest.Stack, id dbtype.ID, name string) tasks.Task {
	t.Helper()
	all, err := s.Tasks.ListByPipeline(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range all {
		if x.TaskName == name {
			return x
		}
	}
	t.Fatalf("no task %q", name)
	return tasks.Task{}
}

// field returns the value of a key in an event's data.
func field(t *testing.T, e events.Event, key string) any {
	t.Helper()
	var data map[string]any
	if err := json.Unmarshal(e.EventData, &data); err != nil {
		t.Fatal(err)
	}
	return data[key]
}
