package definition_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
	"github.com/sluiceworks/sluice/modules/tasks"
)

type fetchInput struct {
	URL     string         `json:"url" sluice:"required"`
	Headers map[string]any `json:"headers"`
	Retries int            `json:"retries"`
	Body    any            `json:"body"`
}

// catalog contains two handlers that are made in the same way as those of extensions.
func catalog(t testing.TB) definition.HandlerSource {
	t.Helper()
	r, err := tasks.NewRegistry([]tasks.Handler{
		tasks.NewHandler("fetch", func(context.Context, fetchInput) (any, error) { return nil, nil }),
		tasks.NewHandler("echo", func(_ context.Context, in map[string]any) (any, error) { return in, nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func parse(t testing.TB, src string) *definition.Definition {
	t.Helper()
	d, err := definition.Parse("p.yaml", []byte(src), catalog(t))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func task(t testing.TB, d *definition.Definition, id string) *definition.Task {
	t.Helper()
	found, ok := d.Task(id)
	if !ok {
		t.Fatalf("no task %q", id)
	}
	return found
}

func values(input string, needs map[string]string) *expr.Values {
	v := &expr.Values{Input: json.RawMessage(input), Needs: map[string]json.RawMessage{}}
	for id, out := range needs {
		v.Needs[id] = json.RawMessage(out)
	}
	return v
}
