package definition

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/platform/suggest"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
)

// expression is a compiled expression. It is safe for concurrent use.
type expression struct {
	source   string
	node     ast.Node
	refs     map[*ast.IdentifierNode]ref
	patterns map[*ast.BinaryNode]*pattern // literal regular expressions
	reads    reads
}

// reads records what expressions read.
type reads struct {
	input   bool            // the run's input
	outputs map[string]bool // the outputs of these dependencies
	pasts   map[string]bool // the ends of these dependencies
}

func (r *reads) add(other reads) {
	r.input = r.input || other.input
	r.outputs, r.pasts = union(r.outputs, other.outputs), union(r.pasts, other.pasts)
}

func union(a, b map[string]bool) map[string]bool {
	if a == nil && len(b) > 0 {
		a = make(map[string]bool, len(b))
	}
	maps.Copy(a, b)
	return a
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

// scope is the set of names that the expressions of one task may use. It is reused for one task after another,
// because the functions and the input's types are the same for all.
type scope struct {
	conf     *conf.Config // nil until the first expression
	fields   []string     // declared input fields; empty if any is allowed
	input    types.Type
	isField  map[string]bool
	suggest  func(name string, known []string) string
	task     *Task
	needs    map[string]bool // the task's
	isTask   func(id string) bool
	prepared bool // needs is that of task
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

// inputType returns the type of the input. Fields that always have a value of one Go type are typed, so that a
// comparison that can never be true is found before the run.
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

// fixedType caches the nature of a type with many fields, so that it is not recomputed for every task.
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
		s.conf.WithEnv(types.Map{
			"input": s.input, "anything": types.Any, "a string": types.String,
			"an int": types.Int,
		})
	}
	s.needs = make(map[string]bool, len(s.task.Needs))
	for _, id := range s.task.Needs {
		s.needs[id] = true
	}
	s.prepared = true
}

// maxExpression is the maximum length of an expression in bytes. The parser recurses for every bracket, and a stack
// overflow ends the process.
const maxExpression = 16 << 10

// compile checks and compiles one expression. It recovers panics of the library and reports them as a mistake,
// because what a user writes must never end the process. No such panic is known.
func (s *scope) compile(source string) (_ *expression, wrong *textError) {
	defer func() {
		if p := recover(); p != nil {
			wrong = &textError{0, fmt.Sprintf("the expression cannot be compiled: %v", p), ""}
		}
	}()
	if len(source) > maxExpression {
		return nil, &textError{
			0,
			fmt.Sprintf("the expression has %d bytes, more than the limit of %d", len(source), maxExpression), "",
		}
	}
	s.prepare()
	tree, err := parser.ParseWithConfig(source, s.conf)
	if err != nil {
		return nil, s.explain(source, err)
	}
	names := &nameReader{
		scope: s, source: source, refs: map[*ast.IdentifierNode]ref{},
		alone: map[*ast.IdentifierNode]bool{},
	}
	ast.Walk(&tree.Node, names)
	if wrong := names.mistake(); wrong != nil {
		return nil, wrong
	}
	if _, err := new(checker.Checker).Check(tree, s.conf); err != nil {
		return nil, s.explain(source, err)
	}
	constants := &constantReader{source: source, patterns: map[*ast.BinaryNode]*pattern{}}
	ast.Walk(&tree.Node, constants)
	if constants.first != nil {
		return nil, constants.first
	}
	return &expression{
		source: source, node: tree.Node, refs: names.refs, patterns: constants.patterns, reads: names.reads(),
	}, nil
}

// constantReader finds mistakes in literals: arithmetic that always fails, and invalid regular expressions.
type constantReader struct {
	source   string
	patterns map[*ast.BinaryNode]*pattern
	first    *textError
}

// Visit is called for a node after its children. It implements ast.Visitor.
func (c *constantReader) Visit(node *ast.Node) {
	n, ok := (*node).(*ast.BinaryNode)
	if !ok {
		return
	}
	var err error
	if text, ok := n.Right.(*ast.StringNode); ok && n.Operator == "matches" {
		c.patterns[n], err = newPattern(text.Value)
	} else if isArithmetic(n.Operator) {
		left, right := literal(n.Left), literal(n.Right)
		if left != nil && right != nil {
			_, err = calculate(n.Operator, left, right)
		}
	}
	if err != nil && c.first == nil {
		c.first = &textError{byteOffset(c.source, n.Location().From), err.Error(), ""}
	}
}

func literal(n ast.Node) any {
	switch n := n.(type) {
	case *ast.IntegerNode:
		return n.Value
	case *ast.FloatNode:
		return n.Value
	}
	return nil
}

var unknownName = regexp.MustCompile(`^unknown name (\S+)$`)

// explain converts an error of the expression library to a mistake with its position and, for names, a hint.
func (s *scope) explain(source string, err error) *textError {
	var at *file.Error
	if !errors.As(err, &at) {
		return &textError{0, err.Error(), ""}
	}
	m := &textError{byteOffset(source, at.From), at.Message, ""}
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
	if best := suggest.Nearest(name, slices.Sorted(maps.Keys(functions))); best != "" {
		return suggest.DidYouMean(best)
	}
	return suggest.Hint(name, []string{"input", "needs", "run", "true", "false", "nil"})
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// selector returns the access to a key in the syntax of an expression.
func selector(name string) string {
	if identifier.MatchString(name) {
		return "." + name
	}
	return fmt.Sprintf("[%q]", name)
}

// byteOffset converts an offset in characters to one in bytes.
func byteOffset(s string, runes int) int {
	for i := range s {
		if runes == 0 {
			return i
		}
		runes--
	}
	return len(s)
}
