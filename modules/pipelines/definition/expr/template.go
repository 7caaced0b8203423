package expr

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// Template is a text that contains expressions. Build it with AddLiteral and AddExpression.
type Template struct {
	// URL means that the text is a URL, and that values are encoded for their position in it.
	URL bool
	// Text means that the template evaluates to a string, even if it consists of one expression.
	Text bool

	parts []templatePart
}

type templatePart struct {
	literal    string
	expression *Expression // nil for a literal
}

// AddLiteral appends a literal piece of the text.
func (t *Template) AddLiteral(s string) { t.parts = append(t.parts, templatePart{literal: s}) }

// AddExpression appends an expression.
func (t *Template) AddExpression(e *Expression) {
	t.parts = append(t.parts, templatePart{expression: e})
}

// Fixed returns the text of a template without expressions, and false if it has any.
func (t *Template) Fixed() (string, bool) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expression != nil {
			return "", false
		}
		b.WriteString(p.literal)
	}
	return b.String(), true
}

// String returns the text as it was written, for a message: on one line and at most 160 characters.
func (t *Template) String() string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expression != nil {
			b.WriteString("${{" + p.expression.source + "}}")
		} else {
			b.WriteString(strings.ReplaceAll(p.literal, open, escaped))
		}
	}
	return shortened(b.String())
}

// literalsFrom returns the literal texts after the expression at i, joined without the expressions between them.
func (t *Template) literalsFrom(i int) string {
	var b strings.Builder
	for _, p := range t.parts[i+1:] {
		b.WriteString(p.literal)
	}
	return b.String()
}

// Evaluation evaluates the templates of one task, all together within one limit of time and memory. An error of its
// methods names the expression.
type Evaluation struct {
	meter  *meter
	values *Values
}

// NewEvaluation begins an evaluation, which stops when ctx ends. Close must be called after it.
func NewEvaluation(ctx context.Context, v *Values) *Evaluation {
	m := newMeter(limits{steps: resolveSteps, memory: resolveMemory, gated: true})
	m.ctx = ctx
	return &Evaluation{m, v}
}

// Close ends the evaluation.
func (e *Evaluation) Close() { e.meter.close() }

// Value evaluates a template. If an expression is the whole text, its value keeps its JSON type, with whole numbers as
// int where that preserves every character. Otherwise the result is a string.
func (e *Evaluation) Value(t *Template) (any, error) {
	if len(t.parts) == 1 && t.parts[0].expression != nil && !t.Text {
		return e.evaluate(t.parts[0].expression)
	}
	return e.Text(t)
}

// Text evaluates a template to text. Strings are inserted as they are and other values as JSON; in a URL both are
// encoded.
func (e *Evaluation) Text(t *Template) (string, error) {
	var b strings.Builder
	for i, p := range t.parts {
		if p.expression == nil {
			b.WriteString(p.literal)
			continue
		}
		v, err := e.evaluate(p.expression)
		if err != nil {
			return "", err
		}
		m := e.meter
		s, err := m.render(v)
		if err == nil && t.URL && !isEncoded(p.expression.node) {
			if err = errors.Join(m.text(3*len(s)), m.scan(b.Len()), m.step(int64(len(t.parts)-i))); err == nil {
				s, err = urlValue(b.String(), s, t.literalsFrom(i))
			}
		}
		if err == nil {
			err = m.text(2 * len(s))
		}
		if err != nil {
			return "", p.expression.wrap(err)
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func (e *Evaluation) evaluate(x *Expression) (any, error) {
	v, err := x.run(e.meter, e.values)
	if err != nil {
		return nil, x.wrap(err)
	}
	return v, nil
}

// JSON returns a tree of values as JSON on one line, with sorted keys. The values may be nested in up to
// jsonvalue.MaxDepth levels of lists and objects beside their own depth.
func (e *Evaluation) JSON(v any) ([]byte, error) {
	enc := encoder{m: e.meter}
	if err := enc.value(v, -maxValueDepth); err != nil {
		return nil, err
	}
	return enc.b, nil
}

// Condition evaluates a condition. The error names the expression if it fails or its result is not a boolean. A
// condition is evaluated in a transaction, so its limits are tight, also for all conditions evaluated with the same
// values together.
func (e *Expression) Condition(v *Values) (bool, error) {
	m := newMeter(limits{steps: min(conditionSteps, max(planSteps-v.planSteps, 0)), memory: conditionMemory})
	defer func() {
		v.planSteps += m.maxSteps.steps - m.steps
		m.close()
	}()
	result, err := e.run(m, v)
	if err != nil {
		return false, fmt.Errorf("%s: %w", shortened(e.source), err)
	}
	yes, ok := result.(bool)
	if !ok {
		return false, fmt.Errorf("%s: the result is %s, and must be true or false", shortened(e.source),
			jsonvalue.Kind(result))
	}
	return yes, nil
}

// run evaluates the expression. It returns panics as errors, because what a user writes must never end the process.
func (e *Expression) run(m *meter, v *Values) (_ any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the expression cannot be evaluated: %v", p)
		}
	}()
	return (&evaluator{meter: m, e: e, values: v}).eval(e.node)
}

// wrap adds the source to an error.
func (e *Expression) wrap(err error) error {
	return fmt.Errorf("${{ %s }}: %w", shortened(e.source), err)
}
