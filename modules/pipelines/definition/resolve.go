package definition

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
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
func (t *Task) Condition(v *EvalContext) (bool, error) {
	c := t.compiled
	if c.condition == nil {
		return true, nil
	}
	m := newMeter(limits{steps: min(conditionSteps, max(planSteps-v.planSteps, 0)), memory: conditionMemory})
	defer func() {
		v.planSteps += m.maxSteps.steps - m.steps
		m.close()
	}()
	result, err := c.condition.run(m, v)
	if err != nil {
		return false, fmt.Errorf("if: %s: %w", shortened(c.condition.source), err)
	}
	yes, ok := result.(bool)
	if !ok {
		return false, fmt.Errorf("if: %s: the result is %s, and must be true or false", shortened(c.condition.source),
			jsonvalue.Kind(result))
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
func (t *Task) Resolve(ctx context.Context, v *EvalContext) (Resolved, error) {
	c := t.compiled
	if c.with == nil && len(c.env) == 0 {
		return c.fixed, nil
	}
	r := resolver{newMeter(limits{steps: resolveSteps, memory: resolveMemory, gated: true}), v}
	r.ctx = ctx
	defer r.close()
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
	e := encoder{m: r.meter}
	if err := e.value(with, -jsonvalue.MaxDepth); err != nil {
		return Resolved{}, fmt.Errorf("with: %w", err)
	}
	if len(e.b) > maxWith {
		return Resolved{}, fmt.Errorf("with: its values have %d bytes together, more than the limit of %d", len(e.b),
			maxWith)
	}
	out.With = e.b
	return out, nil
}

// run evaluates the expression. It returns panics as errors, because what a user writes must never end the process.
func (e *expression) run(m *meter, v *EvalContext) (_ any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the expression cannot be evaluated: %v", p)
		}
	}()
	return (&evaluator{meter: m, e: e, values: v}).eval(e.node)
}

// resolver evaluates the templates of one task.
type resolver struct {
	*meter
	values *EvalContext
}

// with evaluates the templates in a decoded With.
func (r resolver) with(at string, v any) (any, error) {
	switch v := v.(type) {
	case *template:
		value, err := r.value(v)
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

// fixed returns the text of a template without expressions, and false if it has any.
func (t *template) fixed() (string, bool) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expression != nil {
			return "", false
		}
		b.WriteString(p.literal)
	}
	return b.String(), true
}

// value evaluates a template. If an expression is the whole text, its value keeps its JSON type; otherwise the result
// is a string.
func (r resolver) value(t *template) (any, error) {
	if len(t.parts) == 1 && t.parts[0].expression != nil {
		return r.evaluate(t.parts[0])
	}
	return r.template(t)
}

// template evaluates a template to text. Strings are inserted as they are and other values as JSON; in a URL both are
// encoded.
func (r resolver) template(t *template) (string, error) {
	var b strings.Builder
	for i, p := range t.parts {
		if p.expression == nil {
			b.WriteString(p.literal)
			continue
		}
		v, err := r.evaluate(p)
		if err != nil {
			return "", err
		}
		s, err := r.render(v)
		if err == nil && t.url && !isEncoded(p.expression.node) {
			if err = errors.Join(r.text(3*len(s)), r.scan(b.Len()), r.step(int64(len(t.parts)-i))); err == nil {
				s, err = urlValue(b.String(), s, t.literalsFrom(i))
			}
		}
		if err == nil {
			err = r.text(2 * len(s))
		}
		if err != nil {
			return "", fmt.Errorf("${{ %s }}: %w", shortened(p.source), err)
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func (r resolver) evaluate(p templatePart) (any, error) {
	v, err := p.expression.run(r.meter, r.values)
	if err != nil {
		return nil, fmt.Errorf("${{ %s }}: %w", shortened(p.source), err)
	}
	return v, nil
}

// variable evaluates the value of an environment variable. It fails for a value that a variable cannot hold.
func (r resolver) variable(t *template, name string) (string, error) {
	at := "env." + name
	if strings.HasPrefix(name, "SLUICE_") {
		at = "run"
	}
	s, err := r.template(t)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", at, err)
	case strings.IndexByte(s, 0) >= 0:
		return "", fmt.Errorf("%s: the value of %s holds a NUL byte, which no environment variable can", at,
			shortened(t.String()))
	case len(name)+1+len(s) > maxVariable:
		return "", fmt.Errorf(
			"%s: the value of %s has %d bytes, more than an environment variable can hold: read it from the file "+
				"$SLUICE_INPUT",
			at, shortened(t.String()), len(s))
	}
	return s, nil
}

// String returns the text as it was written.
func (t *template) String() string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expression != nil {
			b.WriteString("${{" + p.source + "}}")
		} else {
			b.WriteString(strings.ReplaceAll(p.literal, open, escaped))
		}
	}
	return b.String()
}
