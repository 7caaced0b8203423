package expr_test

import (
	"encoding/json"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
	"github.com/sluiceworks/sluice/platform/suggest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	sampleInput = `{"day":"2026-01-02","count":3,"big":9007199254740993,"list":[1,"x"],"my-field":"dash"}`
	outputOfA   = `{"n":5,"f":1.5,"s":"text","ok":true,"items":[{"x":1},{"x":2}],"outputs":"own",` +
		`"huge":12345678901234567890,"nested":{"b":1,"a":2},"digits":0.12345678901234567891,"null":null}`
)

// newScope returns the scope of a task that needs a and my-task, but not other.
func newScope() *expr.Scope {
	fields := []expr.Field{
		{Name: "day", Type: "string"},
		{Name: "count", Type: "integer"},
		{Name: "big"},
		{Name: "opt"},
		{Name: "list", Type: "array"},
		{Name: "my-field"},
	}
	isTask := func(id string) bool { return slices.Contains([]string{"a", "my-task", "other"}, id) }
	s := expr.NewScope(fields, isTask, suggest.Hint)
	s.Enter([]string{"a", "my-task"})
	return s
}

// compile compiles a text. The mistake, if any, is the first.
func compile(text string) (*expr.Template, *expr.Mistake) {
	s := newScope()
	parts, wrong := expr.Split(text)
	if wrong != nil {
		return nil, wrong
	}
	out := &expr.Template{}
	for _, p := range parts {
		if !p.IsExpression {
			out.AddLiteral(p.Literal)
			continue
		}
		e, wrong := s.Compile(p.Source)
		if wrong != nil {
			return nil, wrong
		}
		out.AddExpression(e)
	}
	return out, nil
}

// sample returns the values of a run with an input.
func sample(input string) *expr.Values {
	return &expr.Values{
		Input: json.RawMessage(input),
		Needs: map[string]json.RawMessage{"a": json.RawMessage(outputOfA), "my-task": json.RawMessage(`{"z":1}`)},
	}
}

// evaluate returns the value of a text as JSON.
func evaluate(t *testing.T, text string) (string, error) {
	t.Helper()
	return evaluateWith(t, text, sampleInput)
}

func evaluateWith(t *testing.T, text, input string) (string, error) {
	t.Helper()
	compiled, wrong := compile(text)
	if wrong != nil {
		t.Fatalf("%s: %+v", text, wrong)
	}
	e := expr.NewEvaluation(t.Context(), sample(input))
	defer e.Close()
	v, err := e.Value(compiled)
	if err != nil {
		return "", err
	}
	doc, err := e.JSON(v)
	return string(doc), err
}

func condition(t *testing.T, text string) *expr.Expression {
	t.Helper()
	e, wrong := newScope().CompileCondition(text)
	if wrong != nil {
		t.Fatalf("%s: %+v", text, wrong)
	}
	return e
}
