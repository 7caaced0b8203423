package definition

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/optimizer"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// expression is compiled and safe for concurrent use.
type expression struct {
	program *vm.Program
	reads   reads
}

// reads is what expressions read.
type reads struct {
	input bool            // the run's input
	needs map[string]bool // the outputs of these dependencies
}

func (r *reads) add(other reads) {
	r.input = r.input || other.input
	if r.needs == nil && len(other.needs) > 0 {
		r.needs = make(map[string]bool, len(other.needs))
	}
	maps.Copy(r.needs, other.needs)
}

// inOrder lists the dependencies that are read in the order of needs.
func (r *reads) inOrder(needs []string) []string {
	var out []string
	for _, id := range needs {
		if r.needs[id] {
			out = append(out, id)
		}
	}
	return out
}

// scope is what the expressions of one task may name. It serves one task after the other, as its functions and the input's types
// are the same for all.
type scope struct {
	conf     *conf.Config // nil until the first expression
	fields   []string     // declared input fields; none: any
	input    types.Type
	isField  map[string]bool
	suggest  func(name string, known []string) string
	task     *Task
	needs    map[string]bool // the task's
	isTask   func(id string) bool
	prepared bool // conf knows the task's needs
}

func newScope(d *Definition, suggest func(string, []string) string) *scope {
	s := &scope{input: inputType(d.Input), isField: make(map[string]bool, len(d.Input)), suggest: suggest}
	for _, f := range d.Input {
		s.fields = append(s.fields, f.Name)
		s.isField[f.Name] = true
	}
	s.isTask = func(id string) bool { _, ok := d.index[id]; return ok }
	return s
}

// inputType types the fields that are sure to hold a value of one Go type, so that a comparison that can never be true is found
// before the run.
func inputType(fields []InputField) types.Type {
	if len(fields) == 0 {
		return types.TypeOf(map[string]any{})
	}
	of := map[string]types.Type{
		TypeString: types.String, TypeInteger: types.Int, TypeBoolean: types.Bool,
		TypeArray: types.TypeOf([]any{}), TypeObject: types.TypeOf(map[string]any{}),
	}
	m := types.Map{}
	for _, f := range fields {
		m[f.Name] = types.Any
		if t, ok := of[f.Type]; ok && (f.Required || f.Default != nil) {
			m[f.Name] = t
		}
	}
	return fixedType{m, m.Nature()}
}

// fixedType saves a type with many fields from being worked out again for every task.
type fixedType struct {
	types.Type
	nature nature.Nature
}

func (f fixedType) Nature() nature.Nature { return f.nature }

func (s *scope) enter(t *Task) { s.task, s.prepared = t, false }

func (s *scope) prepare() {
	if s.prepared {
		return
	}
	if s.conf == nil {
		s.conf = newConfig()
	}
	needs := types.Map{}
	s.needs = make(map[string]bool, len(s.task.Needs))
	for _, id := range s.task.Needs {
		needs[id] = types.Any
		s.needs[id] = true
	}
	s.conf.WithEnv(types.Map{"input": s.input, "needs": needs})
	s.prepared = true
}

// maxExpression is in bytes. The parser calls itself for every bracket, and a stack that overflows ends the process.
const maxExpression = 16 << 10

// compile checks and compiles one expression. The library panics on nothing known, but what a user wrote must never end a
// process, so that a panic too is a mistake in the expression.
func (s *scope) compile(source string) (_ *expression, wrong *mistake) {
	defer func() {
		if p := recover(); p != nil {
			wrong = &mistake{0, fmt.Sprintf("the expression cannot be compiled: %v", p), ""}
		}
	}()
	if len(source) > maxExpression {
		return nil, &mistake{0, fmt.Sprintf("the expression has %d bytes, more than the limit of %d", len(source), maxExpression), ""}
	}
	s.prepare()
	tree, err := parser.ParseWithConfig(source, s.conf)
	if err != nil {
		return nil, s.explain(source, err)
	}
	names := &nameReader{scope: s, source: source}
	ast.Walk(&tree.Node, names)
	if wrong := names.mistake(); wrong != nil {
		return nil, wrong
	}
	check := new(checker.Checker)
	if _, err := check.Check(tree, s.conf); err != nil {
		return nil, s.explain(source, err)
	}
	ast.Walk(&tree.Node, orderings{})
	if _, err := check.Check(tree, s.conf); err != nil {
		return nil, s.explain(source, err)
	}
	if err := optimizer.Optimize(&tree.Node, s.conf); err != nil {
		return nil, s.explain(source, err)
	}
	program, err := compiler.Compile(tree, s.conf)
	if err != nil {
		return nil, s.explain(source, err)
	}
	return &expression{program: program, reads: names.reads}, nil
}

var unknownName = regexp.MustCompile(`^unknown name (\S+)$`)

// explain turns an error of the expression library into a mistake with its place and, for names, a hint.
func (s *scope) explain(source string, err error) *mistake {
	var at *file.Error
	if !errors.As(err, &at) {
		return &mistake{0, err.Error(), ""}
	}
	m := &mistake{byteOffset(source, at.From), at.Message, ""}
	if name := unknownName.FindStringSubmatch(at.Message); name != nil {
		m.msg, m.hint = fmt.Sprintf("unknown name %q", name[1]), s.nameHint(name[1])
	} else if strings.Contains(source, open) {
		m.hint = "write ${{ }} around the whole expression or leave it out"
	}
	return m
}

func (s *scope) nameHint(name string) string {
	switch {
	case name == "null":
		return "write nil"
	case slices.Contains([]string{"now", "date", "timezone", "duration"}, name):
		return "expressions have no clock: let a task find out the time, or give it as input"
	case s.isField[name]:
		return "did you mean input." + name + "?"
	case s.needs[name]:
		return "did you mean needs" + selector(name) + "?"
	}
	return suggest(name, []string{"input", "needs", "true", "false", "nil"})
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// selector writes the access to a key the way an expression needs it.
func selector(name string) string {
	if identifier.MatchString(name) {
		return "." + name
	}
	return fmt.Sprintf("[%q]", name)
}

// byteOffset turns an offset in characters into one in bytes.
func byteOffset(s string, runes int) int {
	for i := range s {
		if runes == 0 {
			return i
		}
		runes--
	}
	return len(s)
}
