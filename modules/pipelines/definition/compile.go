package definition

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/shellquote"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// compiled is the result of compiling a task's expressions.
type compiled struct {
	condition *expression          // nil for always true
	fixed     Resolved             // the parts that depend on no values
	with      any                  // the decoded With with *template for texts with expressions; nil: use fixed
	env       map[string]*template // the variables that depend on values; empty: all are fixed
	reads     reads                // of with, env and run
	outputs   []string             // result of RequiredOutputs
	pasts     []string             // result of PastsNeeded
	ifOutputs []string             // result of ConditionOutputs
	ifPasts   []string
}

// template is a text that contains expressions.
type template struct {
	parts []templatePart
	url   bool // values are encoded for their position in a URL
}

type templatePart struct {
	literal    string
	expression *expression
	source     string
}

// compile compiles the expressions of every task and reports their mistakes.
func (d *Definition) compile(r *decoder) {
	s := newScope(d, r.suggest)
	for i := range d.Tasks {
		t := &d.Tasks[i]
		s.enter(t)
		c := &taskCompiler{scope: s, report: r, index: i, out: &compiled{env: map[string]*template{}}}
		c.task(t)
		t.compiled = c.out
	}
}

// taskCompiler compiles one task.
type taskCompiler struct {
	scope  *scope
	report *decoder
	index  int
	out    *compiled
}

func (c *taskCompiler) task(t *Task) {
	c.condition(t)
	fixed := make(map[string]string, len(t.Env))
	for _, name := range slices.Sorted(maps.Keys(t.Env)) {
		fixed[name] = t.Env[name]
		if hasExpressions(t.Env[name]) {
			c.variable(fixed, name, t.Env[name])
		}
	}
	c.out.fixed = Resolved{With: json.RawMessage("{}"), Env: fixed}
	if t.Run != "" {
		c.arguments(t, c.run(t))
	} else if t.With != nil {
		c.with(t)
	}
	c.out.outputs, c.out.pasts = inOrder(t.Needs, c.out.reads.outputs), inOrder(t.Needs, c.out.reads.pasts)
	if t.Run != "" {
		c.out.outputs = t.Needs
	}
}

func (c *taskCompiler) path() *keyPath { return taskPath(c.index) }

func (c *taskCompiler) condition(t *Task) {
	text := strings.TrimSpace(t.If)
	if text == "" || !clean(text) {
		return
	}
	source, offset := t.If, 0
	if strings.HasPrefix(text, open) {
		parts, wrong := split(text)
		if wrong != nil {
			c.wrong(c.path().key("if"), wrong)
			return
		}
		if len(parts) == 1 {
			source, offset = parts[0].source, parts[0].offset+strings.Index(t.If, open)
		}
	}
	e, wrong := c.scope.compile(source)
	if wrong != nil {
		wrong.offset += offset
		c.wrong(c.path().key("if"), wrong)
		return
	}
	c.out.condition = e
	c.out.ifOutputs, c.out.ifPasts = inOrder(t.Needs, e.reads.outputs), inOrder(t.Needs, e.reads.pasts)
}

func (c *taskCompiler) wrong(at *keyPath, m *textError) {
	c.report.addIn(at, m.offset, m.hint, "%s", m.msg)
}

// variable compiles the value of one environment variable. A value without anything to evaluate is stored in fixed.
func (c *taskCompiler) variable(fixed map[string]string, name, value string) {
	t, ok := c.template(c.path().key("env").key(name), value)
	if !ok {
		return
	}
	if literal, ok := t.fixed(); ok {
		fixed[name] = literal
		return
	}
	delete(fixed, name)
	c.out.env[name] = t
}

func (c *taskCompiler) with(t *Task) {
	raw := t.With
	c.out.fixed.With = raw
	if !hasExpressions(string(raw)) {
		return
	}
	v, err := jsonvalue.Decode(raw)
	if err != nil {
		c.report.add(c.path().key("with"), "", "with is not valid JSON: %v", err)
		return
	}
	if v, dynamic := c.tree(c.path().key("with"), v); dynamic {
		markURL(t.Uses, v)
		c.out.with = v
	} else {
		c.out.fixed.With = jsonvalue.MustEncode(v)
	}
}

// tree replaces the texts in v by templates or literals, and reports whether any must be evaluated.
func (c *taskCompiler) tree(at *keyPath, v any) (_ any, dynamic bool) {
	switch v := v.(type) {
	case string:
		if !hasExpressions(v) {
			return v, false
		}
		t, ok := c.template(at, v)
		if !ok {
			return v, false
		}
		if literal, ok := t.fixed(); ok {
			return literal, false
		}
		return t, true
	case []any:
		for i := range v {
			e, d := c.tree(at.at(i), v[i])
			v[i], dynamic = e, dynamic || d
		}
		return v, dynamic
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			e, d := c.tree(at.key(k), v[k])
			v[k], dynamic = e, dynamic || d
		}
		return v, dynamic
	}
	return v, false
}

func (c *taskCompiler) template(at *keyPath, s string) (*template, bool) {
	parts, wrong := split(s)
	if wrong != nil {
		c.wrong(at, wrong)
		return nil, false
	}
	t, ok := &template{}, true
	for _, p := range parts {
		if !p.expression {
			t.parts = append(t.parts, templatePart{literal: p.literal})
			continue
		}
		e := c.expression(at, p)
		ok = ok && e != nil
		t.parts = append(t.parts, templatePart{expression: e, source: p.source})
	}
	return t, ok
}

// expression compiles one part of with, env or run, and records what it reads. It returns nil after reporting a
// mistake.
func (c *taskCompiler) expression(at *keyPath, p part) *expression {
	if c.report.full() {
		return nil
	}
	e, wrong := c.scope.compile(p.source)
	if wrong != nil {
		wrong.offset += p.offset
		c.wrong(at, wrong)
		return nil
	}
	c.out.reads.add(e.reads)
	return e
}

// run compiles a command and returns its script. Each expression becomes a shell parameter, whose value is passed in
// the environment.
func (c *taskCompiler) run(t *Task) string {
	if !hasExpressions(t.Run) {
		return t.Run
	}
	parts, wrong := split(t.Run)
	if wrong != nil {
		c.wrong(c.path().key("run"), wrong)
		return ""
	}
	var text strings.Builder
	sh := shellquote.NewReader()
	count, offsets := 0, map[string]int{}
	for i, p := range parts {
		if !p.expression {
			sh.Read(p.literal, i == len(parts)-1)
			text.WriteString(p.literal)
			continue
		}
		position, refusal := sh.Expression()
		if !t.posix() {
			refusal = &shellquote.Refusal{
				Message: "${{ }} is not evaluated in a script for " + t.Shell, Hint: otherLanguage,
			}
		}
		if refusal != nil {
			c.report.addIn(c.path().key("run"), p.offset, refusal.Hint, "%s", refusal.Message)
			continue
		}
		if position == shellquote.InComment {
			text.WriteString(strings.ReplaceAll(p.source, "\n", " "))
			continue
		}
		count++
		name := "SLUICE_EXPR_" + strconv.Itoa(count)
		offsets[name] = p.offset
		if e := c.expression(c.path().key("run"), p); e != nil {
			c.out.env[name] = &template{parts: []templatePart{{expression: e, source: p.source}}}
		}
		text.WriteString(position.Parameter(name))
	}
	c.warnReparsed(text.String(), offsets)
	return text.String()
}

// warnReparsed warns about expressions whose values a shell or another program parses as code. offsets maps the
// parameters' names to the expressions' offsets.
func (c *taskCompiler) warnReparsed(script string, offsets map[string]int) {
	if c.report.root == nil { // a definition built in Go has no text to warn about
		return
	}
	known := func(name string) bool { _, ok := offsets[name]; return ok }
	shellquote.Reparsed(script, known, func(name, program, hint string) {
		c.report.warnIn(c.path().key("run"), offsets[name], hint,
			"the value of this ${{ }} becomes part of a text that %s parses as code", program)
	})
}
