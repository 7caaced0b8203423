package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/client"
	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a client of a database until the end of the test.
func open(t *testing.T, d *db.DB, o client.Options) *client.Client {
	t.Helper()
	c := client.New(d, o)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	return c
}

// work starts a worker, which the end of the client stops.
func work(t *testing.T, c *client.Client, config client.WorkerConfig, handlers ...tasks.Handler) *client.Worker {
	t.Helper()
	w, err := c.NewWorker(handlers, config)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func parse(t *testing.T, yaml string) *definition.Definition {
	t.Helper()
	def, err := definition.Parse("test.yaml", []byte(yaml), nil)
	if err != nil {
		t.Fatal(err)
	}
	return def
}

func start(t *testing.T, c *client.Client, def *definition.Definition) client.ID {
	t.Helper()
	started, err := c.Start(t.Context(), client.StartRequest{Definition: def})
	if err != nil {
		t.Fatal(err)
	}
	return started.ID
}

func wait(t *testing.T, c *client.Client, id client.ID) pipelines.Execution {
	t.Helper()
	x, err := c.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// double returns twice a number. Zero is a permanent error.
var double = tasks.NewHandler("double", func(_ context.Context, n struct {
	N int `json:"n"`
},
) (int, error) {
	if n.N == 0 {
		return 0, tasks.NonRetryable(errors.New("nothing to double"))
	}
	return 2 * n.N, nil
})

const doubling = `
name: doubling
input: {n: integer}
labels: {team: math, kind: test}
tasks:
  - {id: a, uses: double, with: {n: "${{ input.n }}"}}
  - {id: b, needs: [a], uses: double, with: {n: "${{ needs.a }}"}}
`

func TestOpenChangesNothingUnasked(t *testing.T) {
	t.Parallel()
	dbtest.EachEmpty(t, func(t *testing.T, url string) {
		c, err := client.Open(t.Context(), url, client.Options{})
		if !errors.Is(err, db.ErrFileNotFound) && !errors.Is(err, db.ErrSchemaOutdated) {
			t.Fatalf("an empty database: %v %v", c, err)
		}
		if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file was created: %v", err)
			}
		}
		for _, migrate := range []bool{true, false, true} {
			c, err := client.Open(t.Context(), url, client.Options{Migrate: migrate})
			if err != nil {
				t.Fatal(migrate, err)
			}
			if list, err := c.List(t.Context(), client.Filter{}); err != nil || len(list) != 0 {
				t.Errorf("%v %v", list, err)
			}
			if err := errors.Join(c.Close(), c.Close()); err != nil {
				t.Error(err)
			}
			for name, err := range afterClose(c) {
				if !errors.Is(err, client.ErrClosed) {
					t.Errorf("%s after Close: %v", name, err)
				}
			}
		}
		_, err = client.Open(t.Context(), url, client.Options{Tenant: "nobody", Migrate: true})
		if !errors.Is(err, db.ErrTenantNotFound) {
			t.Errorf("an unknown tenant: %v", err)
		}
		if _, err := client.Open(t.Context(), "mysql://x", client.Options{}); !errors.Is(err, db.ErrInvalidURL) {
			t.Errorf("another URL: %v", err)
		}
	})
}

// afterClose calls the methods of a closed client.
func afterClose(c *client.Client) map[string]error {
	ctx, id := context.Background(), client.ID{1}
	out := map[string]error{}
	_, out["Start"] = c.Start(ctx, client.StartRequest{})
	_, out["Get"] = c.Get(ctx, id)
	_, out["List"] = c.List(ctx, client.Filter{})
	_, out["Tasks"] = c.Tasks(ctx, id)
	_, out["Wait"] = c.Wait(ctx, id)
	_, out["End"] = c.End(ctx)
	out["Cancel"] = c.Cancel(ctx, id, "")
	for _, err := range c.Tail(ctx, client.Cursor{}, client.TailOptions{}) {
		out["Tail"] = err
	}
	w, err := c.NewWorker([]tasks.Handler{double}, client.WorkerConfig{})
	if err != nil {
		out["NewWorker"] = err
		return out
	}
	out["Run"] = w.Run(ctx)
	return out
}

func TestStartWaitRead(t *testing.T) {
	t.Parallel()
	audittest.Each(t, func(t *testing.T, d *db.DB) {
		c := open(t, d, client.Options{})
		work(t, c, client.WorkerConfig{Slots: 8}, double)
		def := parse(t, doubling)
		requests := make([]client.StartRequest, 20)
		for i := range requests {
			requests[i] = client.StartRequest{
				Definition: def, Input: json.RawMessage(fmt.Sprintf(`{"n": %d}`, i)),
				Labels:         map[string]string{"kind": fmt.Sprint(i % 2)},
				IdempotencyKey: fmt.Sprint("run ", i),
			}
		}
		started, err := c.StartMany(t.Context(), requests)
		if err != nil || len(started) != len(requests) {
			t.Fatal(started, err)
		}
		for i, s := range started {
			x := wait(t, c, s.ID)
			list, err := c.Tasks(t.Context(), s.ID)
			if err != nil || len(list) != 2 || list[0].TaskName != "a" {
				t.Fatal(list, err)
			}
			if i == 0 {
				if x.Status != pipelines.Failed || !strings.Contains(string(x.Error), "nothing to double") {
					t.Errorf("run 0 is %s: %s", x.Status, x.Error)
				}
			} else if x.Status != pipelines.Completed || string(list[1].Output) != fmt.Sprint(4*i) {
				t.Errorf("run %d is %s with output %s", i, x.Status, list[1].Output)
			}
			got, err := c.Get(t.Context(), s.ID)
			if err != nil || got.Labels["team"] != "math" || got.Labels["kind"] != fmt.Sprint(i%2) || s.Existing {
				t.Errorf("%+v %v", got, err)
			}
		}
		again, err := c.Start(t.Context(), requests[3])
		if err != nil || again.ID != started[3].ID || !again.Existing {
			t.Errorf("%v %v", again, err)
		}
		list, err := c.List(t.Context(), client.Filter{
			Labels:   map[string]string{"kind": "1"},
			Statuses: []pipelines.Status{pipelines.Completed}, Limit: 3,
		})
		if err != nil || len(list) != 3 || list[0].ID != started[19].ID {
			t.Errorf("%v %v", list, err)
		}
	})
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	audittest.Each(t, func(t *testing.T, d *db.DB) {
		c := open(t, d, client.Options{})
		def := parse(t, doubling)
		var diagnostics definition.Diagnostics
		for name, r := range map[string]client.StartRequest{
			"no definition": {},
			"a key":         {Definition: def, IdempotencyKey: "a\x00b"},
			"a label":       {Definition: def, Labels: map[string]string{"Not A Name!": "x"}},
			"an input":      {Definition: def, Input: json.RawMessage(`{"n": "one"}`)},
			"unchecked": {Definition: &definition.Definition{
				Name:  "p",
				Tasks: []definition.Task{{ID: "a", Uses: "double"}},
			}},
		} {
			_, err := c.StartMany(t.Context(), []client.StartRequest{{Definition: def}, r})
			if err == nil || name != "unchecked" && !errors.Is(err, pipelines.ErrInvalidArgument) &&
				!errors.As(err, &diagnostics) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if list, err := c.List(t.Context(), client.Filter{}); err != nil || len(list) != 0 {
			t.Errorf("started %v %v", list, err)
		}
		key := client.StartRequest{Definition: def, Input: json.RawMessage(`{"n": 1}`), IdempotencyKey: "k"}
		if _, err := c.Start(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		key.Input = json.RawMessage(`{"n": 2}`)
		if _, err := c.Start(t.Context(), key); !errors.Is(err, pipelines.ErrKeyReused) {
			t.Errorf("the key with another input: %v", err)
		}
	})
}

func TestControl(t *testing.T) {
	t.Parallel()
	audittest.Each(t, func(t *testing.T, d *db.DB) {
		c := open(t, d, client.Options{Actor: "billing"})
		def := parse(t, "name: p\ntasks:\n  - {id: a, uses: double, with: {n: 3}}\n")
		id, ctx := start(t, c, def), t.Context()
		for _, do := range []struct {
			err  error
			want error
		}{
			{c.Resume(ctx, id, ""), pipelines.ErrInvalidState},
			{c.Pause(ctx, id, "maintenance"), nil},
			{c.Resume(ctx, id, ""), nil},
			{c.Cancel(ctx, id, "wrong input"), nil},
			{c.Cancel(ctx, id, ""), pipelines.ErrInvalidState},
			{c.Retry(ctx, id, "b", ""), tasks.ErrNotFound},
			{c.Retry(ctx, id, "", "right after all"), nil},
			{c.Pause(ctx, client.ID{1}, ""), pipelines.ErrExecutionNotFound},
		} {
			if !errors.Is(do.err, do.want) {
				t.Errorf("%v, expected %v", do.err, do.want)
			}
		}
		work(t, c, client.WorkerConfig{}, double)
		if x := wait(t, c, id); x.Status != pipelines.Completed || x.Attempt != 2 {
			t.Errorf("%+v", x)
		}
		var got []events.Type
		for b, err := range c.Tail(ctx, client.Cursor{}, client.TailOptions{Filter: tailFilter(id)}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range b.Events {
				if e.TaskExecutionID.IsZero() {
					got = append(got, e.EventType)
				}
				if e.TaskExecutionID.IsZero() && e.WorkerID == "" && e.Actor != "billing" {
					t.Errorf("%s was asked for by %q", e.EventType, e.Actor)
				}
			}
			if len(got) > 0 && got[len(got)-1] == events.PipelineCompleted {
				break
			}
		}
		want := []events.Type{
			events.PipelineStarted, events.PipelinePaused, events.PipelineResumed, events.PipelineCancelled,
			events.PipelineRestarted, events.PipelineCompleted,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// TestTenantsShareADatabase checks that clients of two tenants see only their own runs, whatever the context says.
func TestTenantsShareADatabase(t *testing.T) {
	t.Parallel()
	audittest.Each(t, func(t *testing.T, d *db.DB) {
		acme := db.WithTenant(t.Context(), "acme")
		if err := errors.Join(d.CreateTenant(acme), d.Migrate(acme)); err != nil {
			t.Fatal(err)
		}
		a, b := open(t, d, client.Options{Tenant: "acme"}), open(t, d, client.Options{})
		work(t, a, client.WorkerConfig{}, double)
		def := parse(t, "name: p\ntasks:\n  - {id: a, uses: double, with: {n: 3}}\n")
		id := start(t, a, def)
		if x := wait(t, a, id); x.Status != pipelines.Completed {
			t.Errorf("%+v", x)
		}
		if _, err := b.Get(acme, id); !errors.Is(err, pipelines.ErrExecutionNotFound) {
			t.Errorf("the other tenant's client: %v", err)
		}
		if _, err := b.Wait(acme, id); !errors.Is(err, pipelines.ErrExecutionNotFound) {
			t.Errorf("the other tenant's client: %v", err)
		}
		audittest.CheckTenant(acme, t, d)
	})
}
