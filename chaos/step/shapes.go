package step

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// Shape is a pipeline of the fault tests.
type Shape struct {
	Definition *definition.Definition
	Weight     int  // how often it is started, in proportion to the others
	Fails      bool // it ends Failed even without faults
	Poison     bool // it has a handler that misbehaves
}

// work is the maximum duration of a task's handler, in milliseconds. The average is half of it.
const work = 120

// Shapes returns all pipelines of the fault tests.
func Shapes() []Shape {
	shapes := []Shape{
		{Definition: chain(8), Weight: 6},
		{Definition: slowly(diamond(), 1000), Weight: 4},
		{Definition: FanIn("fan-in", 12), Weight: 3},
		{Definition: retried(), Weight: 2},
		{Definition: deferred(), Weight: 2},
		{Definition: alerted(), Weight: 2, Fails: true},
		// This one is only started by name: a thousand predecessors that end concurrently.
		{Definition: FanIn("thousand", 1000)},
	}
	for _, word := range []string{"panic", "exit", "ignore", "huge", "nul", "utf8", "garble"} {
		shapes = append(shapes, Shape{Definition: poisoned(word), Fails: true, Poison: true})
	}
	return shapes
}

// slowly sets the maximum duration of each task of a pipeline, in milliseconds, so that tasks are running when a
// process is stopped.
func slowly(d *definition.Definition, ms int) *definition.Definition {
	for i := range d.Tasks {
		d.Tasks[i].With = json.RawMessage(fmt.Sprintf(`{"ms": %d}`, ms))
	}
	return d
}

// task returns a task that works, and then does what the word says.
func task(id, word string, needs ...string) definition.Task {
	values := map[string]any{"ms": work, "do": word}
	if word == "defer" {
		values["at"] = "${{ input.at }}"
	}
	doc, err := json.Marshal(values)
	if err != nil {
		panic(err) // a map of numbers and strings
	}
	return definition.Task{
		ID: id, Needs: needs, Uses: (*Handler)(nil).Name(), With: doc, Timeout: 30 * time.Second,
		Retry: tasks.RetryPolicy{MaxAttempts: 5, Backoff: tasks.Fixed, Delay: 50 * time.Millisecond, Jitter: 0.5},
	}
}

func chain(length int) *definition.Definition {
	d := &definition.Definition{Name: "chain"}
	for i := range length {
		t := task(fmt.Sprintf("t%d", i), "")
		if i > 0 {
			t.Needs = []string{fmt.Sprintf("t%d", i-1)}
		}
		d.Tasks = append(d.Tasks, t)
	}
	return d
}

func diamond() *definition.Definition {
	return &definition.Definition{Name: "diamond", Tasks: []definition.Task{
		task("top", ""), task("left", "", "top"), task("right", "", "top"), task("bottom", "", "left", "right"),
	}}
}

// FanIn returns a pipeline with a number of independent tasks, and one, named join, that needs all of them.
func FanIn(name string, width int) *definition.Definition {
	d := &definition.Definition{Name: name}
	join := task("join", "")
	for i := range width {
		id := fmt.Sprintf("t%d", i)
		d.Tasks = append(d.Tasks, task(id, ""))
		join.Needs = append(join.Needs, id)
	}
	d.Tasks = append(d.Tasks, join)
	return d
}

func retried() *definition.Definition {
	return &definition.Definition{
		Name:  "retried",
		Tasks: []definition.Task{task("fails-twice", "retry"), task("after", "", "fails-twice")},
	}
}

func deferred() *definition.Definition {
	return &definition.Definition{
		Name:  "deferred",
		Input: []definition.InputField{{Name: "at", Type: definition.TypeInteger, Default: json.RawMessage("0")}},
		Tasks: []definition.Task{task("waits", "defer"), task("after", "", "waits")},
	}
}

// alerted fails, because an alert reports a failure and does not undo it.
func alerted() *definition.Definition {
	alert := task("alert", "", "fails")
	alert.TriggerRule = definition.OneFailed
	return &definition.Definition{
		Name:  "alerted",
		Tasks: []definition.Task{task("fails", "refuse"), task("skipped", "", "fails"), alert},
	}
}

// poisoned has a task whose handler misbehaves, and one that runs after it, however it ended.
func poisoned(word string) *definition.Definition {
	bad := task("poison", word)
	bad.Retry.MaxAttempts = 2
	if word == "ignore" {
		bad.Timeout = 300 * time.Millisecond
	}
	after := task("after", "", "poison")
	after.TriggerRule = definition.AllDone
	return &definition.Definition{Name: "poison-" + word, Tasks: []definition.Task{bad, after}}
}
