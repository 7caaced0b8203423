package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// nameReader visits an expression from the leaves to the root. It replaces accesses to input, needs and run by names
// of its own, whose meaning is in refs, and finds undeclared names and wrong numbers of arguments.
type nameReader struct {
	scope  *Scope
	source string
	refs   map[*ast.IdentifierNode]ref
	alone  map[*ast.IdentifierNode]bool // needs and run without a name after them
	first  *Mistake                     // the first mistake found
}

// Visit is called for a node after its children. It implements ast.Visitor.
func (n *nameReader) Visit(node *ast.Node) {
	switch v := (*node).(type) {
	case *ast.IdentifierNode:
		n.identifier(v)
	case *ast.MemberNode:
		if r, ok := n.member(v); ok {
			name := &ast.IdentifierNode{Value: r.typed()}
			ast.Patch(node, name)
			n.refs[name] = r
		} else if n.isInputField(v) {
			v.Optional = true // a declared field that is missing is null
			ast.Patch(node, &ast.ChainNode{Node: v})
		}
	case *ast.BinaryNode:
		n.words(v)
	case *ast.BuiltinNode:
		n.arguments(v, v.Name, len(v.Arguments))
	case *ast.CallNode:
		n.call(v)
	case *ast.BytesNode:
		n.wrong(v, "bytes are no value of an expression", "write a string, without the b before it")
	}
}

func (n *nameReader) identifier(v *ast.IdentifierNode) {
	switch v.Value {
	case "input":
		n.refs[v] = ref{of: "input"}
	case "needs", "run":
		n.alone[v] = true
	case "$env":
		n.wrong(v, "unknown name \"$env\"", "write input, needs or run")
	}
}

func (n *nameReader) call(v *ast.CallNode) {
	callee, ok := v.Callee.(*ast.IdentifierNode)
	if !ok {
		n.wrong(v, "only functions can be called", "")
		return
	}
	n.arguments(v, callee.Value, len(v.Arguments))
}

func (n *nameReader) arguments(v ast.Node, name string, count int) {
	if f := functions[name]; f != nil {
		if msg := f.arguments(count); msg != "" {
			n.wrong(v, name+": "+msg, "")
		}
	}
}

// member recognizes needs.<task>, needs.<task>.<word> and run.<word>, and checks the names of the input's fields.
func (n *nameReader) member(v *ast.MemberNode) (_ ref, replaced bool) {
	base, ok := unchained(v.Node).(*ast.IdentifierNode)
	if !ok {
		return ref{}, false
	}
	name, constant := v.Property.(*ast.StringNode)
	switch {
	case n.alone[base]:
		delete(n.alone, base)
		if !constant {
			n.wrong(v, fmt.Sprintf("the name after %s must be named, not computed", base.Value), "")
			return ref{}, false
		}
		if base.Value == "run" {
			return n.runField(v, name.Value)
		}
		return n.need(v, name.Value)
	case !constant:
		return ref{}, false
	}
	switch r := n.refs[base]; {
	case r.of == "input" && len(n.scope.fields) > 0 && !n.scope.isField[name.Value]:
		n.wrong(v, fmt.Sprintf("input has no field %q", name.Value), n.hint("input", name.Value, n.scope.fields))
	case r.of == "needs" && r.field == "" && slices.Contains(needFields, name.Value):
		delete(n.refs, base)
		r.field = name.Value
		return r, true
	}
	return ref{}, false
}

func (n *nameReader) isInputField(v *ast.MemberNode) bool {
	base, ok := unchained(v.Node).(*ast.IdentifierNode)
	name, constant := v.Property.(*ast.StringNode)
	return ok && constant && n.refs[base].of == "input" && n.scope.isField[name.Value]
}

func (n *nameReader) runField(v ast.Node, name string) (ref, bool) {
	if slices.Contains(runFields, name) {
		return ref{of: "run", field: name}, true
	}
	hint := n.scope.suggest(name, runFields)
	if hint == "" {
		hint = "there are run." + strings.Join(runFields, ", run.")
	}
	n.wrong(v, fmt.Sprintf("run has no field %q", name), hint)
	return ref{}, false
}

func (n *nameReader) need(v ast.Node, id string) (ref, bool) {
	if n.scope.needs[id] {
		return ref{of: "needs", task: id}, true
	}
	hint := "the task needs nothing"
	if n.scope.isTask(id) {
		hint = fmt.Sprintf("add %q to the task's needs", id)
	} else if listed := n.scope.listed; len(listed) > 0 {
		hint = n.hint("needs", id, listed)
	}
	n.wrong(v, fmt.Sprintf("%q is not among the task's needs", id), hint)
	return ref{}, false
}

// words checks the words that a status or a result is compared with, because a comparison with any other word is
// always false.
func (n *nameReader) words(v *ast.BinaryNode) {
	sides := [][2]ast.Node{{v.Left, v.Right}, {v.Right, v.Left}}
	if v.Operator == "in" {
		sides = sides[:1]
	} else if v.Operator != "==" && v.Operator != "!=" {
		return
	}
	for _, side := range sides {
		name, ok := unchained(side[0]).(*ast.IdentifierNode)
		if !ok {
			continue
		}
		known := map[string][]string{"status": statuses, "result": results}[n.refs[name].field]
		if n.refs[name].of != "needs" || known == nil {
			continue
		}
		compared := []ast.Node{side[1]}
		if list, ok := side[1].(*ast.ArrayNode); ok {
			compared = list.Nodes
		}
		for _, c := range compared {
			n.word(n.refs[name], c, known)
		}
	}
}

func (n *nameReader) word(r ref, compared ast.Node, known []string) {
	switch c := compared.(type) {
	case *ast.StringNode:
		if !slices.Contains(known, c.Value) {
			hint := n.scope.suggest(c.Value, known)
			if hint == "" {
				hint = "it is one of " + strings.Join(known, ", ")
			}
			n.wrong(c, fmt.Sprintf("%s is never %q", r, c.Value), hint)
		}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		output := ref{of: "needs", task: r.task, field: "output." + r.field}
		n.wrong(c, fmt.Sprintf("%s is how the task ended, a string", r), "a key of its output is written "+
			output.String())
	}
}

func (n *nameReader) hint(of, name string, known []string) string {
	if dashed := startsWith(name, known); dashed != "" {
		return fmt.Sprintf("a name with - or . is written %s[%q]", of, dashed)
	}
	return n.scope.suggest(name, known)
}

// startsWith returns the known name of which an expression reads only the first part, such as my of my-task.
func startsWith(name string, among []string) string {
	for _, s := range among {
		if strings.HasPrefix(s, name+"-") || strings.HasPrefix(s, name+".") {
			return s
		}
	}
	return ""
}

func (n *nameReader) wrong(v ast.Node, msg, hint string) {
	if n.first == nil {
		n.first = &Mistake{byteOffset(n.source, v.Location().From), msg, hint}
	}
}

func (n *nameReader) mistake() *Mistake {
	for v := range n.alone {
		if n.first == nil {
			hint := "name a task: needs.<task>"
			if v.Value == "run" {
				hint = "name a field: run.id"
			}
			n.wrong(v, v.Value+" stands alone", hint)
		}
	}
	return n.first
}

// reads returns what the expression reads.
func (n *nameReader) reads() Reads {
	r := Reads{Outputs: map[string]bool{}, Pasts: map[string]bool{}}
	for _, ref := range n.refs {
		switch {
		case ref.of != "needs":
		case ref.isOutput():
			r.Outputs[ref.task] = true
		default:
			r.Pasts[ref.task] = true
		}
	}
	return r
}

func unchained(v ast.Node) ast.Node {
	if c, ok := v.(*ast.ChainNode); ok {
		return c.Node
	}
	return v
}
