package definition

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
)

// maxVariable is the maximum length in bytes of NAME=value of one environment variable on Linux.
const maxVariable = 128<<10 - 1

// maxWith is the maximum size of an evaluated With in bytes.
const maxWith = 8 << 20

// Resolved contains a task's settings with their expressions evaluated. It may be shared, so the caller must not
// change it.
type Resolved struct {
	With json.RawMessage   // an object; {"script": …} for a task with Run
	Env  map[string]string // the task's env and, for a task with Run, the values of its expressions
}

// Condition evaluates If. An empty If is true. The error names the expression that failed or whose result is not a
// boolean. Condition is meant for a transaction, so its limits are tight, also for all conditions evaluated with the
// same values together.
func (t *Task) Condition(v *expr.Values) (bool, error) {
	if t.compiled.condition == nil {
		return true, nil
	}
	yes, err := t.compiled.condition.Condition(v)
	if err != nil {
		return false, fmt.Errorf("if: %w", err)
	}
	return yes, nil
}

// ConditionOutputs returns the dependencies whose outputs If reads, and those whose end it reads, in the order of
// Needs.
func (t *Task) ConditionOutputs() (outputs, pasts []string) {
	return t.compiled.ifOutputs, t.compiled.ifPasts
}

// RequiredOutputs returns the dependencies whose outputs Resolve or the handler may read, in the order of Needs. For a
// command these are all dependencies, because it reads them from a file. For other tasks they are those named in with
// and env.
func (t *Task) RequiredOutputs() []string { return t.compiled.outputs }

// PastsNeeded returns the dependencies whose end Resolve reads, in the order of Needs.
func (t *Task) PastsNeeded() []string { return t.compiled.pasts }

// Resolve evaluates the expressions in With or Run and in Env. It stops when ctx ends. The error names the setting
// and the expression.
func (t *Task) Resolve(ctx context.Context, v *expr.Values) (Resolved, error) {
	c := t.compiled
	if c.with == nil && len(c.env) == 0 {
		return c.fixed, nil
	}
	r := resolver{expr.NewEvaluation(ctx, v)}
	defer r.Close()
	out := c.fixed
	if len(c.env) > 0 {
		out.Env = maps.Clone(out.Env)
	}
	var err error
	for _, name := range slices.Sorted(maps.Keys(c.env)) {
		if out.Env[name], err = r.variable(c.env[name], name); err != nil {
			return Resolved{}, err
		}
	}
	if c.with == nil {
		return out, nil
	}
	with, err := r.with("with", c.with)
	if err != nil {
		return Resolved{}, err
	}
	doc, err := r.JSON(with)
	if err != nil {
		return Resolved{}, fmt.Errorf("with: %w", err)
	}
	if len(doc) > maxWith {
		return Resolved{}, fmt.Errorf("with: its values have %d bytes together, more than the limit of %d", len(doc),
			maxWith)
	}
	out.With = doc
	return out, nil
}

// resolver evaluates the templates of one task.
type resolver struct{ *expr.Evaluation }

// with evaluates the templates in a decoded With.
func (r resolver) with(at string, v any) (any, error) {
	switch v := v.(type) {
	case *expr.Template:
		value, err := r.Value(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		return value, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			e, err := r.with(at, v[i])
			if err != nil {
				return nil, err
			}
			out[i] = e
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			e, err := r.with(at+"."+k, v[k])
			if err != nil {
				return nil, err
			}
			out[k] = e
		}
		return out, nil
	}
	return v, nil
}

// variable evaluates the value of an environment variable. It fails for a value that a variable cannot hold.
func (r resolver) variable(t *expr.Template, name string) (string, error) {
	at := "env." + name
	if strings.HasPrefix(name, "SLUICE_") {
		at = "run"
	}
	s, err := r.Text(t)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", at, err)
	case strings.IndexByte(s, 0) >= 0:
		return "", fmt.Errorf("%s: the value of %s holds a NUL byte, which no environment variable can", at, t)
	case len(name)+1+len(s) > maxVariable:
		return "", fmt.Errorf(
			"%s: the value of %s has %d bytes, more than an environment variable can hold: read it from the file "+
				"$SLUICE_INPUT", at, t, len(s))
	}
	return s, nil
}
