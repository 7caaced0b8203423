package definition

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
	"github.com/sluiceworks/sluice/modules/pipelines/definition/shellquote"
	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// compiled is the result of compiling a task's expressions.
type compiled struct {
	condition *expr.Expression          // nil for always true
	fixed     Resolved                  // the parts that depend on no values
	with      any                       // the decoded With with *expr.Template for texts; nil: use fixed
	env       map[string]*expr.Template // the variables that depend on values; empty: all are fixed
	reads     expr.Reads                // of with, env and run
	outputs   []string                  // result of RequiredOutputs
	pasts     []string                  // result of PastsNeeded
	ifOutputs []string                  // result of ConditionOutputs
	ifPasts   []string
}

// compile compiles the expressions of every task and reports their mistakes.
func (d *Definition) compile(r *yamlfile.Decoder) {
	isTask := func(id string) bool { _, ok := d.index[id]; return ok }
	s := expr.NewScope(d.inputTypes(), isTask, r.Suggest)
	for i := range d.Tasks {
		t := &d.Tasks[i]
		s.Enter(t.Needs)
		c := &taskCompiler{scope: s, report: r, index: i, out: &compiled{env: map[string]*expr.Template{}}}
		c.task(t)
		t.compiled = c.out
	}
}

// inputTypes returns the input's fields with the types of those that always have a value.
func (d *Definition) inputTypes() []expr.Field {
	fields := make([]expr.Field, len(d.Input))
	for i, f := range d.Input {
		fields[i] = expr.Field{Name: f.Name, Type: TypeAny}
		if f.Required || f.Default != nil {
			fields[i].Type = f.Type
		}
	}
	return fields
}

// inOrder returns the needs that are in a set, in the order of needs.
func inOrder(needs []string, set map[string]bool) []string {
	var out []string
	for _, id := range needs {
		if set[id] {
			out = append(out, id)
		}
	}
	return out
}

// taskCompiler compiles one task.
type taskCompiler struct {
	scope  *expr.Scope
	report *yamlfile.Decoder
	index  int
	out    *compiled
}

func (c *taskCompiler) task(t *Task) {
	c.condition(t)
	fixed := make(map[string]string, len(t.Env))
	for _, name := range slices.Sorted(maps.Keys(t.Env)) {
		fixed[name] = t.Env[name]
		if expr.IsTemplate(t.Env[name]) {
			c.variable(fixed, name, t.Env[name])
		}
	}
	c.out.fixed = Resolved{With: json.RawMessage("{}"), Env: fixed}
	if t.Run != "" {
		c.arguments(t, c.run(t))
	} else if t.With != nil {
		c.with(t)
	}
	c.out.outputs, c.out.pasts = inOrder(t.Needs, c.out.reads.Outputs), inOrder(t.Needs, c.out.reads.Pasts)
	if t.Run != "" {
		c.out.outputs = t.Needs
	}
}

func (c *taskCompiler) path() *yamlfile.Path { return taskPath(c.index) }

func (c *taskCompiler) condition(t *Task) {
	if text := strings.TrimSpace(t.If); text == "" || !clean(text) {
		return
	}
	e, wrong := c.scope.CompileCondition(t.If)
	if wrong != nil {
		c.wrong(c.path().Key("if"), wrong)
		return
	}
	c.out.condition = e
	c.out.ifOutputs, c.out.ifPasts = inOrder(t.Needs, e.Reads().Outputs), inOrder(t.Needs, e.Reads().Pasts)
}

func (c *taskCompiler) wrong(at *yamlfile.Path, m *expr.Mistake) {
	c.report.AddIn(at, m.Offset, m.Hint, "%s", m.Message)
}

// variable compiles the value of one environment variable. A value without anything to evaluate is stored in fixed.
func (c *taskCompiler) variable(fixed map[string]string, name, value string) {
	t, ok := c.template(c.path().Key("env").Key(name), value)
	if !ok {
		return
	}
	if literal, ok := t.Fixed(); ok {
		fixed[name] = literal
		return
	}
	delete(fixed, name)
	c.out.env[name] = t
}

func (c *taskCompiler) with(t *Task) {
	raw := t.With
	c.out.fixed.With = raw
	if !expr.IsTemplate(string(raw)) {
		return
	}
	v, err := jsonvalue.Decode(raw)
	if err != nil {
		c.report.Add(c.path().Key("with"), "", "with is not valid JSON: %v", err)
		return
	}
	if v, dynamic := c.tree(c.path().Key("with"), v); dynamic {
		markURL(t.Uses, v)
		c.out.with = v
	} else {
		c.out.fixed.With = jsonvalue.MustEncode(v)
	}
}

// urlSettings are the settings of built-in handlers that contain a URL, by handler.
var urlSettings = map[string]string{"http": "url", "wait": "url"}

// markURL marks the template of a setting that contains a URL, so that values inserted into it are encoded.
func markURL(uses string, with any) {
	settings, _ := with.(map[string]any)
	if t, ok := settings[urlSettings[uses]].(*expr.Template); ok {
		t.URL = true
	}
}

// tree replaces the texts in v by templates or literals, and reports whether any must be evaluated.
func (c *taskCompiler) tree(at *yamlfile.Path, v any) (_ any, dynamic bool) {
	switch v := v.(type) {
	case string:
		if !expr.IsTemplate(v) {
			return v, false
		}
		t, ok := c.template(at, v)
		if !ok {
			return v, false
		}
		if literal, ok := t.Fixed(); ok {
			return literal, false
		}
		return t, true
	case []any:
		for i := range v {
			e, d := c.tree(at.Item(i), v[i])
			v[i], dynamic = e, dynamic || d
		}
		return v, dynamic
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			e, d := c.tree(at.Key(k), v[k])
			v[k], dynamic = e, dynamic || d
		}
		return v, dynamic
	}
	return v, false
}

func (c *taskCompiler) template(at *yamlfile.Path, s string) (*expr.Template, bool) {
	parts, wrong := expr.Split(s)
	if wrong != nil {
		c.wrong(at, wrong)
		return nil, false
	}
	t, ok := &expr.Template{}, true
	for _, p := range parts {
		if !p.IsExpression {
			t.AddLiteral(p.Literal)
		} else if e := c.expression(at, p); e != nil {
			t.AddExpression(e)
		} else {
			ok = false
		}
	}
	return t, ok
}

// expression compiles one part of with, env or run, and records what it reads. It returns nil after reporting a
// mistake.
func (c *taskCompiler) expression(at *yamlfile.Path, p expr.Part) *expr.Expression {
	if c.report.Full() {
		return nil
	}
	e, wrong := c.scope.Compile(p.Source)
	if wrong != nil {
		wrong.Offset += p.Offset
		c.wrong(at, wrong)
		return nil
	}
	c.out.reads.Add(e.Reads())
	return e
}

// run compiles a command and returns its script. Each expression becomes a shell parameter, whose value is passed in
// the environment.
func (c *taskCompiler) run(t *Task) string {
	if !expr.IsTemplate(t.Run) {
		return t.Run
	}
	parts, wrong := expr.Split(t.Run)
	if wrong != nil {
		c.wrong(c.path().Key("run"), wrong)
		return ""
	}
	var text strings.Builder
	sh := shellquote.NewReader()
	count, offsets := 0, map[string]int{}
	for i, p := range parts {
		if !p.IsExpression {
			sh.Read(p.Literal, i == len(parts)-1)
			text.WriteString(p.Literal)
			continue
		}
		position, refusal := sh.Expression()
		if !t.posix() {
			refusal = &shellquote.Refusal{
				Message: "${{ }} is not evaluated in a script for " + t.Shell, Hint: otherLanguage,
			}
		}
		if refusal != nil {
			c.report.AddIn(c.path().Key("run"), p.Offset, refusal.Hint, "%s", refusal.Message)
			continue
		}
		if position == shellquote.InComment {
			text.WriteString(strings.ReplaceAll(p.Source, "\n", " "))
			continue
		}
		count++
		name := "SLUICE_EXPR_" + strconv.Itoa(count)
		offsets[name] = p.Offset
		if e := c.expression(c.path().Key("run"), p); e != nil {
			c.out.env[name] = &expr.Template{}
			c.out.env[name].AddExpression(e)
		}
		text.WriteString(position.Parameter(name))
	}
	c.warnReparsed(text.String(), offsets)
	return text.String()
}

// warnReparsed warns about expressions whose values a shell or another program parses as code. offsets maps the
// parameters' names to the expressions' offsets.
func (c *taskCompiler) warnReparsed(script string, offsets map[string]int) {
	if !c.report.HasDocument() { // a definition built in Go has no text to warn about
		return
	}
	known := func(name string) bool { _, ok := offsets[name]; return ok }
	shellquote.Reparsed(script, known, func(name, program, hint string) {
		c.report.WarnIn(c.path().Key("run"), offsets[name], hint,
			"the value of this ${{ }} becomes part of a text that %s parses as code", program)
	})
}
