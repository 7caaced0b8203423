package definition

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
)

// Function is a function of the language of expressions.
type Function struct {
	Name    string
	Least   int // the number of arguments
	Most    int // -1: any
	plain   func(m *meter, args []any) (any, error)
	types   []reflect.Type                                   // of a function that the library lacks
	closure func(v *evaluator, args []ast.Node) (any, error) // the second argument is evaluated for each element of the first
}

var functions = map[string]*Function{}

func init() {
	for _, group := range [][]Function{textFunctions, numberFunctions, listFunctions, objectFunctions, closureFunctions} {
		for i := range group {
			functions[group[i].Name] = &group[i]
		}
	}
}

// Functions lists every function that expressions may call, by name.
func Functions() []Function {
	var out []Function
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		out = append(out, *functions[name])
	}
	return out
}

// newConfig is the language: what the expression library knows and the table of functions does not have, is unknown. That is all that
// reads the clock or the machine's time zones, so that an expression evaluated twice has the same value.
func newConfig() *conf.Config {
	c := conf.CreateNew()
	for _, name := range builtin.Names {
		if functions[name] == nil {
			c.Disabled[name] = true
			delete(c.Builtins, name)
		}
	}
	for name, f := range functions {
		if len(f.types) > 0 {
			c.Functions[name] = &builtin.Function{Name: name, Func: neverCalled, Types: f.types}
		}
	}
	return c
}

func neverCalled(...any) (any, error) { panic("the library's machine is not used") }

func (v *evaluator) call(name string, nodes []ast.Node) (any, error) {
	f := functions[name]
	if f == nil {
		return nil, fmt.Errorf("unknown function %q", name)
	}
	if f.closure != nil {
		r, err := f.closure(v, nodes)
		return r, named(name, err)
	}
	args, err := v.evalAll(nodes)
	if err != nil {
		return nil, err
	}
	r, err := f.plain(v.meter, args)
	return r, named(name, err)
}

// argumentError is a function's complaint about what it was given.
type argumentError struct{ msg string }

func (e *argumentError) Error() string { return e.msg }

func wrongArgument(format string, args ...any) error {
	return &argumentError{fmt.Sprintf(format, args...)}
}

// named puts the function's name before its own complaint.
func named(name string, err error) error {
	if e, ok := err.(*argumentError); ok { //nolint:errorlint // a wrapped one has its name already
		return fmt.Errorf("%s: %w", name, e)
	}
	return err
}

// arguments says what is wrong with a number of arguments; empty: nothing.
func (f *Function) arguments(n int) string {
	switch {
	case n >= f.Least && (f.Most < 0 || n <= f.Most):
		return ""
	case f.Least == f.Most:
		return fmt.Sprintf("invalid number of arguments (expected %d, got %d)", f.Least, n)
	case n < f.Least:
		return fmt.Sprintf("not enough arguments (expected at least %d, got %d)", f.Least, n)
	}
	return fmt.Sprintf("too many arguments (expected at most %d, got %d)", f.Most, n)
}

func argument[T any](args []any, i int, what string) (T, error) {
	v, ok := args[i].(T)
	if !ok {
		return v, wrongArgument("it takes %s, not %s", what, kindOf(args[i]))
	}
	return v, nil
}

func textAt(args []any, i int) (string, error) { return argument[string](args, i, "a string") }
func listAt(args []any, i int) ([]any, error)  { return argument[[]any](args, i, "a list") }
func objectAt(args []any, i int) (map[string]any, error) {
	return argument[map[string]any](args, i, "an object")
}
