package expr

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// function is a function of the expression language.
type function struct {
	name    string
	minArgs int // minimum number of arguments
	maxArgs int // maximum number of arguments; -1 for any
	plain   func(m *meter, args []any) (any, error)
	types   []reflect.Type                                   // only for a function that the library lacks
	closure func(v *evaluator, args []ast.Node) (any, error) // called instead of plain, with unevaluated arguments
}

var functions = map[string]*function{}

func init() {
	for _, group := range [][]function{
		textFunctions, numberFunctions, listFunctions, objectFunctions,
		closureFunctions,
	} {
		for i := range group {
			functions[group[i].name] = &group[i]
		}
	}
}

// newConfig returns the configuration of the expression language. Functions of the library that are not in functions
// are disabled. Those include all that read the clock or the machine's time zones, so that an expression evaluated
// twice has the same value.
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

// argumentError is a function's error about its arguments.
type argumentError struct{ msg string }

func (e *argumentError) Error() string { return e.msg }

func wrongArgument(format string, args ...any) error {
	return &argumentError{fmt.Sprintf(format, args...)}
}

// named adds the function's name to its own argumentError.
func named(name string, err error) error {
	if e, ok := err.(*argumentError); ok { //nolint:errorlint // a wrapped one already has its name
		return fmt.Errorf("%s: %w", name, e)
	}
	return err
}

// arguments returns what is wrong with a number of arguments, or the empty string.
func (f *function) arguments(n int) string {
	switch {
	case n >= f.minArgs && (f.maxArgs < 0 || n <= f.maxArgs):
		return ""
	case f.minArgs == f.maxArgs:
		return fmt.Sprintf("invalid number of arguments (expected %d, got %d)", f.minArgs, n)
	case n < f.minArgs:
		return fmt.Sprintf("not enough arguments (expected at least %d, got %d)", f.minArgs, n)
	}
	return fmt.Sprintf("too many arguments (expected at most %d, got %d)", f.maxArgs, n)
}

func argument[T any](args []any, i int, what string) (T, error) {
	v, ok := args[i].(T)
	if !ok {
		return v, wrongArgument("it takes %s, not %s", what, jsonvalue.Kind(args[i]))
	}
	return v, nil
}

func textAt(args []any, i int) (string, error) { return argument[string](args, i, "a string") }
func listAt(args []any, i int) ([]any, error)  { return argument[[]any](args, i, "a list") }
func objectAt(args []any, i int) (map[string]any, error) {
	return argument[map[string]any](args, i, "an object")
}

func typeName(v any) string {
	switch v := calculable(v).(type) {
	case nil:
		return "nil"
	case bool:
		return "bool"
	case int:
		return "int"
	case float64:
		return "float"
	case json.Number:
		if !strings.ContainsAny(string(v), ".eE") {
			return "int"
		}
		return "float"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "map"
}
