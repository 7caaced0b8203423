package expr

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
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"

	"github.com/sluiceworks/sluice/platform/suggest"
)

// Expression is a compiled expression. It is safe for concurrent use.
type Expression struct {
	source   string
	node     ast.Node
	refs     map[*ast.IdentifierNode]ref
	patterns map[*ast.BinaryNode]*pattern // literal regular expressions
	reads    Reads
}

// Reads returns what the expression reads. The caller must not change it.
func (e *Expression) Reads() Reads { return e.reads }

// Reads records the dependencies that expressions read.
type Reads struct {
	Outputs map[string]bool // the tasks whose outputs are read
	Pasts   map[string]bool // the tasks of which is read how they ended
}

// Add adds what other expressions read.
func (r *Reads) Add(other Reads) {
	r.Outputs, r.Pasts = union(r.Outputs, other.Outputs), union(r.Pasts, other.Pasts)
}

func union(a, b map[string]bool) map[string]bool {
	if a == nil && len(b) > 0 {
		a = make(map[string]bool, len(b))
	}
	maps.Copy(a, b)
	return a
}

// Field is a field of a run's input.
type Field struct {
	Name string
	// Type is the JSON type of every value of the field: string, integer, boolean, array or object. It is anything else
	// if the field may be missing or its values differ in type. A comparison that can never be true because of the
	// types is found before the run.
	Type string
}

// Scope is the set of names that the expressions of one task may use. It is reused for one task after another, because
// the functions and the input's types are the same for all.
type Scope struct {
	conf     *conf.Config // nil until the first expression
	fields   []string     // declared input fields; empty if any is allowed
	input    types.Type
	isField  map[string]bool
	suggest  func(name string, known []string) string
	listed   []string        // the task's needs
	needs    map[string]bool // listed, if prepared
	isTask   func(id string) bool
	prepared bool
}

// NewScope returns the scope of the tasks of a pipeline. Without fields, the input may have any. isTask reports whether
// the pipeline has a task, and hint returns a hint for an unknown name, given the known ones. Enter must be called
// before expressions are compiled.
func NewScope(fields []Field, isTask func(id string) bool, hint func(name string, known []string) string) *Scope {
	s := &Scope{input: inputType(fields), isField: make(map[string]bool, len(fields)), suggest: hint, isTask: isTask}
	for _, f := range fields {
		s.fields = append(s.fields, f.Name)
		s.isField[f.Name] = true
	}
	return s
}

// inputType returns the type of the input.
func inputType(fields []Field) types.Type {
	if len(fields) == 0 {
		return types.TypeOf(map[string]any{})
	}
	of := map[string]types.Type{
		"string": types.String, "integer": types.Int, "boolean": types.Bool,
		"array": types.TypeOf([]any{}), "object": types.TypeOf(map[string]any{}),
	}
	m := types.Map{}
	for _, f := range fields {
		m[f.Name] = types.Any
		if t, ok := of[f.Type]; ok {
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

// Enter makes the scope that of a task with these needs.
func (s *Scope) Enter(needs []string) { s.listed, s.prepared = needs, false }

func (s *Scope) prepare() {
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
	s.needs = make(map[string]bool, len(s.listed))
	for _, id := range s.listed {
		s.needs[id] = true
	}
	s.prepared = true
}

// maxExpression is the maximum length of an expression in bytes. The parser recurses for every bracket, and a stack
// overflow ends the process.
const maxExpression = 16 << 10

// Compile checks and compiles one expression. It recovers panics of the library and reports them as a mistake, because
// what a user writes must never end the process. No such panic is known.
func (s *Scope) Compile(source string) (_ *Expression, wrong *Mistake) {
	defer func() {
		if p := recover(); p != nil {
			wrong = &Mistake{0, fmt.Sprintf("the expression cannot be compiled: %v", p), ""}
		}
	}()
	if len(source) > maxExpression {
		return nil, &Mistake{
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
	return &Expression{
		source: source, node: tree.Node, refs: names.refs, patterns: constants.patterns, reads: names.reads(),
	}, nil
}

// CompileCondition compiles the text of a condition, which may have ${{ }} around it.
func (s *Scope) CompileCondition(text string) (*Expression, *Mistake) {
	source, offset := text, 0
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, open) {
		parts, wrong := Split(trimmed)
		if wrong != nil {
			return nil, wrong
		}
		if len(parts) == 1 {
			source, offset = parts[0].Source, parts[0].Offset+strings.Index(text, open)
		}
	}
	e, wrong := s.Compile(source)
	if wrong != nil {
		wrong.Offset += offset
	}
	return e, wrong
}

// constantReader finds mistakes in literals: arithmetic that always fails, and invalid regular expressions.
type constantReader struct {
	source   string
	patterns map[*ast.BinaryNode]*pattern
	first    *Mistake
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
		c.first = &Mistake{byteOffset(c.source, n.Location().From), err.Error(), ""}
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
func (s *Scope) explain(source string, err error) *Mistake {
	var at *file.Error
	if !errors.As(err, &at) {
		return &Mistake{0, err.Error(), ""}
	}
	m := &Mistake{byteOffset(source, at.From), at.Message, ""}
	if name := unknownName.FindStringSubmatch(at.Message); name != nil {
		m.Message, m.Hint = fmt.Sprintf("unknown name %q", name[1]), s.nameHint(name[1])
	} else if strings.Contains(source, open) {
		m.Hint = "write ${{ }} around the whole expression or leave it out"
	}
	return m
}

func (s *Scope) nameHint(name string) string {
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
