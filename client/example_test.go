package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/sluiceworks/sluice/client"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// temporary returns the URL of a SQLite file that does not exist yet, and the function that removes it.
func temporary() (url string, remove func()) {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	return "sqlite://" + filepath.Join(dir, "sluice.db"), func() { _ = os.RemoveAll(dir) }
}

// greet is the handler of the examples.
var greet = tasks.NewHandler("greet", func(_ context.Context, in struct {
	Name string `json:"name" sluice:"required"`
},
) (string, error) {
	if in.Name == "nobody" {
		return "", tasks.NonRetryable(errors.New("there is nobody to greet"))
	}
	return "hello, " + in.Name, nil
})

// greeting parses the pipeline of the examples.
func greeting() *definition.Definition {
	def, err := definition.Parse("greeting.yaml", []byte(`
name: greeting
input: {name: {type: string, default: world}}
tasks:
  - {id: greet, uses: greet, with: {name: "${{ input.name }}"}}
`), nil)
	if err != nil {
		log.Fatal(err)
	}
	return def
}

// newClient opens a client of a new database, with a worker if it has handlers.
func newClient(handlers ...tasks.Handler) (c *client.Client, end func()) {
	url, remove := temporary()
	c, err := client.Open(context.Background(), url, client.Options{Migrate: true})
	if err != nil {
		log.Fatal(err)
	}
	if len(handlers) > 0 {
		w, err := c.NewWorker(handlers, client.WorkerConfig{})
		if err != nil {
			log.Fatal(err)
		}
		if err := w.Start(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
	return c, func() {
		if err := c.Close(); err != nil {
			log.Fatal(err)
		}
		remove()
	}
}

// A program opens a database, runs a worker with its handlers, starts a run and waits for it.
func Example() {
	url, remove := temporary() // or postgres://user@host/database
	defer remove()
	ctx := context.Background()
	c, err := client.Open(ctx, url, client.Options{Migrate: true})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	w, err := c.NewWorker([]tasks.Handler{greet}, client.WorkerConfig{Slots: 10})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Start(ctx); err != nil {
		log.Fatal(err)
	}
	started, err := c.Start(ctx, client.StartRequest{Definition: greeting(), Input: json.RawMessage(`{"name": "Ada"}`)})
	if err != nil {
		log.Fatal(err)
	}
	run, err := c.Wait(ctx, started.ID)
	if err != nil {
		log.Fatal(err)
	}
	list, err := c.Tasks(ctx, run.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(run.Status, string(list[0].Output))
	// Output: Completed "hello, Ada"
}

// Run works until its context ends. It then lets running tasks end, for at most WorkerConfig.Drain.
func ExampleWorker_Run() {
	c, end := newClient()
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	last := tasks.NewHandler("last", func(context.Context, struct{}) (string, error) {
		stop() // in a service: signal.NotifyContext
		return "done all the same", nil
	})
	def := &definition.Definition{Name: "last", Tasks: []definition.Task{{ID: "a", Uses: "last"}}}
	if err := def.Check(nil); err != nil {
		log.Fatal(err)
	}
	started, err := c.Start(ctx, client.StartRequest{Definition: def})
	if err != nil {
		log.Fatal(err)
	}
	w, err := c.NewWorker([]tasks.Handler{last}, client.WorkerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(w.Run(ctx))
	list, err := c.Tasks(context.Background(), started.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(list[0].Status, string(list[0].Output))
	// Output:
	// <nil>
	// Completed "done all the same"
}

// A request that is repeated with the same key starts nothing new.
func ExampleClient_Start() {
	c, end := newClient()
	defer end()
	r := client.StartRequest{
		Definition: greeting(), IdempotencyKey: "order 4711",
		Labels: map[string]string{"customer": "acme"},
	}
	first, err := c.Start(context.Background(), r)
	if err != nil {
		log.Fatal(err)
	}
	second, err := c.Start(context.Background(), r)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(first.Existing, second.Existing, first.ID == second.ID)
	r.Input = json.RawMessage(`{"name": "Bob"}`)
	_, err = c.Start(context.Background(), r)
	fmt.Println(errors.Is(err, pipelines.ErrKeyReused))
	// Output:
	// false true true
	// true
}

func ExampleClient_StartMany() {
	c, end := newClient(greet)
	defer end()
	var requests []client.StartRequest
	for _, name := range []string{"Ada", "Bob", "Eve"} {
		requests = append(requests,
			client.StartRequest{Definition: greeting(), Input: json.RawMessage(`{"name": "` + name + `"}`)})
	}
	started, err := c.StartMany(context.Background(), requests)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range started {
		run, err := c.Wait(context.Background(), s.ID)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(run.Input), run.Status)
	}
	// Output:
	// {"name":"Ada"} Completed
	// {"name":"Bob"} Completed
	// {"name":"Eve"} Completed
}

// The newest failed runs of a pipeline.
func ExampleClient_List() {
	c, end := newClient(greet)
	defer end()
	for _, input := range []string{`{}`, `{"name": "nobody"}`} {
		started, err := c.Start(context.Background(),
			client.StartRequest{Definition: greeting(), Input: json.RawMessage(input)})
		if err != nil {
			log.Fatal(err)
		}
		if _, err := c.Wait(context.Background(), started.ID); err != nil {
			log.Fatal(err)
		}
	}
	list, err := c.List(context.Background(), client.Filter{
		PipelineName: "greeting", Statuses: []pipelines.Status{pipelines.Failed}, Limit: 10,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, run := range list {
		fmt.Println(run.PipelineName, run.Status, run.Error)
	}
	// Output: greeting Failed task greet failed: there is nobody to greet
}

// A run is paused, continued, cancelled, and run again.
func ExampleClient_Pause() {
	c, end := newClient()
	defer end()
	ctx := context.Background()
	started, err := c.Start(ctx, client.StartRequest{Definition: greeting()})
	if err != nil {
		log.Fatal(err)
	}
	for _, do := range []func() error{
		func() error { return c.Pause(ctx, started.ID, "maintenance") },
		func() error { return c.Resume(ctx, started.ID, "") },
		func() error { return c.Cancel(ctx, started.ID, "wrong customer") },
		func() error { return c.Retry(ctx, started.ID, "", "right after all") },
	} {
		if err := do(); err != nil {
			log.Fatal(err)
		}
		run, err := c.Get(ctx, started.ID)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(run.Status)
	}
	// Output:
	// Paused
	// Running
	// Cancelled
	// Running
}

// A reader of the history continues from a stored position.
func ExampleClient_Tail() {
	c, end := newClient(greet)
	defer end()
	ctx := context.Background()
	started, err := c.Start(ctx, client.StartRequest{Definition: greeting()})
	if err != nil {
		log.Fatal(err)
	}
	stored := "" // the text of a cursor; empty: the beginning
	cursor, err := client.ParseCursor(stored)
	if err != nil {
		log.Fatal(err)
	}
	o := client.TailOptions{}
	o.Filter.PipelineExecutionID = started.ID
	for batch, err := range c.Tail(ctx, cursor, o) {
		if err != nil {
			log.Fatal(err)
		}
		done := false
		for _, e := range batch.Events {
			fmt.Println(e.EventType)
			done = done || e.EventType == events.PipelineCompleted
		}
		stored = batch.Cursor.String() // with what was done for the batch
		if done {
			break
		}
	}
	fmt.Println(stored != "")
	// Output:
	// pipeline_started
	// task_created
	// task_marked_ready
	// task_claimed
	// task_started
	// task_completed
	// pipeline_completed
	// true
}
