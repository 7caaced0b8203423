package expr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// Values contains the values that the expressions of one run read. It caches what it has decoded, so it must be used by
// one goroutine at a time.
type Values struct {
	Input json.RawMessage            // the run's input, with its defaults; nil counts as {}
	Needs map[string]json.RawMessage // outputs by task; null for a task that is missing or nil
	Past  map[string]Past            // by task, for those whose end an expression reads
	Run   Run

	input     any
	hasInput  bool
	outputs   map[string]any
	planSteps int64 // steps used by conditions
}

// Past is how a dependency ended.
type Past struct {
	Status    string // a status of a task: Completed, Failed, Skipped, Abandoned or Cancelled
	Error     string // of the last failed attempt, or why it was abandoned; empty if none
	ErrorKind string
	Attempts  int // attempts begun
}

// Run contains what an expression can read of the run itself.
type Run struct {
	ID       string
	Pipeline string
	Attempt  int    // 1, plus 1 for each restart of the run
	DueAt    string // RFC 3339; empty if no schedule started the run
}

// result returns GitHub's word for the task's status, or null.
func (p Past) result() any {
	switch p.Status {
	case "Completed":
		return "success"
	case "Failed", "Abandoned":
		return "failure"
	case "Skipped":
		return "skipped"
	case "Cancelled":
		return "cancelled"
	}
	return nil
}

var (
	results  = []string{"success", "failure", "skipped", "cancelled"}
	statuses = []string{"Completed", "Failed", "Skipped", "Abandoned", "Cancelled"}
)

// ref is the meaning of a name in an expression.
type ref struct {
	of    string // input, needs or run
	task  string // needs
	field string // of needs or run; empty for the dependency's output
}

func (r ref) String() string {
	switch r.of {
	case "needs":
		if r.field == "" {
			return "needs" + selector(r.task)
		}
		return "needs" + selector(r.task) + "." + r.field
	case "run":
		return "run." + r.field
	}
	return r.of
}

// needFields are the words that may follow needs.<task>, and runFields those that may follow run.
var (
	needFields = []string{"attempts", "error", "error_kind", "output", "outputs", "result", "status"}
	runFields  = []string{"attempt", "due_at", "id", "pipeline"}
)

// isOutput reports whether the name reads the dependency's output, not its end.
func (r ref) isOutput() bool { return r.field == "" || r.field == "output" || r.field == "outputs" }

// typed returns the name by which the checker finds the type of what is read. No expression can contain the name.
func (r ref) typed() string {
	switch {
	case r.field == "attempts", r.field == "attempt":
		return "an int"
	case r.field == "status", r.field == "result", r.of == "run" && r.field != "due_at":
		return "a string"
	}
	return "anything"
}

// lookup returns the value that a name refers to.
func (v *Values) lookup(m *meter, r ref) (any, error) {
	switch {
	case r.of == "input":
		return v.decodedInput(m)
	case r.of == "run":
		return v.Run.field(r.field), nil
	case r.isOutput():
		return v.output(m, r.task)
	}
	p := v.Past[r.task]
	switch r.field {
	case "status":
		return orNull(p.Status), nil
	case "result":
		return p.result(), nil
	case "error":
		return orNull(p.Error), nil
	case "error_kind":
		return orNull(p.ErrorKind), nil
	}
	return p.Attempts, nil
}

func (r *Run) field(name string) any {
	switch name {
	case "id":
		return r.ID
	case "pipeline":
		return r.Pipeline
	case "attempt":
		return r.Attempt
	}
	return orNull(r.DueAt)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (v *Values) decodedInput(m *meter) (any, error) {
	if v.hasInput {
		return v.input, nil
	}
	var in any = map[string]any{}
	if len(v.Input) > 0 {
		var err error
		if in, err = m.decode(v.Input); err != nil {
			return nil, fmt.Errorf("input: %w", err)
		}
	}
	v.input, v.hasInput = in, true
	return in, nil
}

func (v *Values) output(m *meter, task string) (any, error) {
	if out, ok := v.outputs[task]; ok {
		return out, nil
	}
	var out any
	if raw := v.Needs[task]; len(raw) > 0 {
		var err error
		if out, err = m.decode(raw); err != nil {
			return nil, fmt.Errorf("output of %s: %w", task, err)
		}
	}
	if v.outputs == nil {
		v.outputs = map[string]any{}
	}
	v.outputs[task] = out
	return out, nil
}

// decode decodes JSON for expressions.
func (m *meter) decode(raw []byte) (any, error) {
	objects, others := bytes.Count(raw, []byte("{")), bytes.Count(raw, []byte(","))+bytes.Count(raw, []byte("["))
	if err := m.alloc(times(objects, 280) + times(others+1, 48) + int64(len(raw))); err != nil {
		return nil, err
	}
	v, err := jsonvalue.Decode(raw)
	return forExpressions(v), err
}

// forExpressions converts whole numbers to ints where that preserves every character. Other numbers stay as they are
// written until they are used in a calculation.
func forExpressions(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.Atoi(string(v)); err == nil && strconv.Itoa(i) == string(v) {
			return i
		}
	case []any:
		for i := range v {
			v[i] = forExpressions(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = forExpressions(v[k])
		}
	}
	return v
}
