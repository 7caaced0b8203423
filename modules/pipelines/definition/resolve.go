package definition

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// maxVariable is what Linux lets NAME=value of one variable have in bytes.
const maxVariable = 128<<10 - 1

// Values is what expressions are evaluated with.
type Values struct {
	Input json.RawMessage            // the run's input, as CheckInput gave it; nil counts as {}
	Needs map[string]json.RawMessage // outputs by task; a task that is missing or nil has the output null
}

// Resolved is a task's settings with their expressions evaluated. The caller must not change it: it may be shared.
type Resolved struct {
	With json.RawMessage   // an object; {"script": …} for a task with Run
	Env  map[string]string // the task's env and, for a task with Run, the values of its expressions
}

// Condition evaluates If; an empty one is true. The error says what could not be evaluated, or that the result is no boolean.
func (t *Task) Condition(v Values) (bool, error) {
	c := t.compiled
	if c.condition == nil {
		return true, nil
	}
	env, err := v.decode(c.condition.reads.input, c.ifNeeds)
	if err != nil {
		return false, fmt.Errorf("if: %w", err)
	}
	result, err := c.condition.run(env)
	if err != nil {
		return false, fmt.Errorf("if: %w", err)
	}
	yes, ok := result.(bool)
	if !ok {
		return false, fmt.Errorf("if: the result is %s, and must be true or false", kindOf(result))
	}
	return yes, nil
}

// ConditionNeeds lists the dependencies whose outputs If reads, in the order of Needs.
func (t *Task) ConditionNeeds() []string { return t.compiled.ifNeeds }

// OutputsNeeded lists the dependencies whose outputs Resolve or the handler may read, in the order of Needs: all of them for a
// command, which finds them in a file, and for other tasks those that with and env name.
func (t *Task) OutputsNeeded() []string { return t.compiled.outputs }

// Resolve evaluates the expressions in With or Run and in Env. The error names the setting and the expression.
func (t *Task) Resolve(v Values) (Resolved, error) {
	c := t.compiled
	if c.with == nil && len(c.env) == 0 {
		return c.fixed, nil
	}
	env, err := v.decode(c.reads.input, c.needs)
	if err != nil {
		return Resolved{}, err
	}
	out := c.fixed
	if len(c.env) > 0 {
		out.Env = maps.Clone(out.Env)
	}
	for _, name := range slices.Sorted(maps.Keys(c.env)) {
		if out.Env[name], err = c.env[name].variable(name, env); err != nil {
			return Resolved{}, err
		}
	}
	if c.with == nil {
		return out, nil
	}
	with, err := render("with", c.with, env)
	if err != nil {
		return Resolved{}, err
	}
	if out.With, err = encode(with); err != nil {
		return Resolved{}, fmt.Errorf("with: %w", err)
	}
	return out, nil
}

// decode reads as much of the values as expressions do.
func (v Values) decode(readsInput bool, reads []string) (map[string]any, error) {
	input, needs := any(map[string]any{}), make(map[string]any, len(reads))
	if readsInput && len(v.Input) > 0 {
		in, err := decodeExact(v.Input)
		if err != nil {
			return nil, fmt.Errorf("input: %w", err)
		}
		input = forExpressions(in)
	}
	for _, id := range reads {
		needs[id] = nil
		if raw := v.Needs[id]; len(raw) > 0 {
			out, err := decodeExact(raw)
			if err != nil {
				return nil, fmt.Errorf("output of %s: %w", id, err)
			}
			needs[id] = forExpressions(out)
		}
	}
	return map[string]any{"input": input, "needs": needs}, nil
}

func (e *expression) run(env map[string]any) (any, error) {
	result, err := vm.Run(e.program, env)
	var at *file.Error
	switch {
	case !errors.As(err, &at):
		return result, err
	case at.Message == "invalid operation: int(string)": // a key taken for the index of an array or a text
		return nil, errors.New("a key is read of a value that is no object")
	}
	return nil, errors.New(at.Message) // without the drawing of where: the caller quotes the expression
}

// render evaluates the templates in a decoded With.
func render(at string, v any, env map[string]any) (any, error) {
	switch v := v.(type) {
	case *template:
		value, err := v.value(env)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		return value, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			e, err := render(at, v[i], env)
			if err != nil {
				return nil, err
			}
			out[i] = e
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			e, err := render(at+"."+k, v[k], env)
			if err != nil {
				return nil, err
			}
			out[k] = e
		}
		return out, nil
	}
	return v, nil
}

// fixed gives the text of a template that has no expressions.
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

// value keeps the JSON type of an expression that is the whole text; within a longer text it becomes part of a string.
func (t *template) value(env map[string]any) (any, error) {
	if len(t.parts) == 1 && t.parts[0].expression != nil {
		return t.parts[0].evaluate(env)
	}
	return t.text(env)
}

// text puts strings in as they are and other values as JSON.
func (t *template) text(env map[string]any) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expression == nil {
			b.WriteString(p.literal)
			continue
		}
		v, err := p.evaluate(env)
		if err != nil {
			return "", err
		}
		if s, ok := v.(string); ok {
			b.WriteString(s)
			continue
		}
		j, err := encode(v)
		if err != nil {
			return "", fmt.Errorf("${{%s}}: %w", p.source, err)
		}
		b.Write(j)
	}
	return b.String(), nil
}

func (p templatePart) evaluate(env map[string]any) (any, error) {
	v, err := p.expression.run(env)
	if err != nil {
		return nil, fmt.Errorf("${{%s}}: %w", p.source, err)
	}
	return v, nil
}

// variable is text for an environment variable, which cannot hold everything.
func (t *template) variable(name string, env map[string]any) (string, error) {
	at := "env." + name
	if strings.HasPrefix(name, "SLUICE_") {
		at = "run"
	}
	s, err := t.text(env)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", at, err)
	case strings.IndexByte(s, 0) >= 0:
		return "", fmt.Errorf("%s: the value of %s holds a NUL byte, which no environment variable can", at, t.String())
	case len(name)+1+len(s) > maxVariable:
		return "", fmt.Errorf("%s: the value of %s has %d bytes, more than an environment variable can hold: read it from the file $SLUICE_INPUT",
			at, t.String(), len(s))
	}
	return s, nil
}

// String is the text as its author wrote it.
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
