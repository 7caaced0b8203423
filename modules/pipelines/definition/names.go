package definition

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// nameReader walks an expression from the leaves up. It collects what is read of input and needs, finds names that nobody
// declared, takes the alias needs.x.outputs out, and lets every access to a key of nil give nil.
type nameReader struct {
	scope     *scope
	source    string
	reads     reads
	bareNeeds int      // mentions of needs without a task after it
	bareAt    int      // where the last of them is
	first     *mistake // the mistake that is met first
	unaliased ast.Node // needs.x after its alias has been taken out: a further outputs is a key
}

// Visit is called for a node after its children.
func (n *nameReader) Visit(node *ast.Node) {
	switch v := (*node).(type) {
	case *ast.IdentifierNode:
		n.identifier(v)
	case *ast.MemberNode:
		if inner, ok := n.outputAlias(v); ok {
			*node, n.unaliased = inner, inner
			return
		}
		n.member(v)
		v.Optional = true
		ast.Patch(node, &ast.ChainNode{Node: v})
	}
}

func (n *nameReader) identifier(v *ast.IdentifierNode) {
	switch v.Value {
	case "input":
		n.reads.input = true
	case "needs":
		n.bareNeeds++
		n.bareAt = v.Location().From
	case "$env":
		n.wrong(v, "unknown name \"$env\"", "write input or needs")
	}
}

// outputAlias recognises needs.x.outputs and needs.x.output: both are needs.x.
func (n *nameReader) outputAlias(v *ast.MemberNode) (ast.Node, bool) {
	name, ok := v.Property.(*ast.StringNode)
	if !ok || v.Node == n.unaliased || name.Value != "outputs" && name.Value != "output" {
		return nil, false
	}
	inner, ok := unchained(v.Node).(*ast.MemberNode)
	return v.Node, ok && isNamed(inner.Node, "needs")
}

func (n *nameReader) member(v *ast.MemberNode) {
	name, constant := v.Property.(*ast.StringNode)
	switch {
	case isNamed(v.Node, "needs"):
		n.bareNeeds--
		if !constant {
			n.wrong(v, "the task after needs must be named, not computed", "")
			return
		}
		n.need(v, name.Value)
	case isNamed(v.Node, "input") && constant && len(n.scope.fields) > 0 && !n.scope.isField[name.Value]:
		n.wrong(v, fmt.Sprintf("input has no field %q", name.Value), n.hint("input", name.Value, n.scope.fields))
	}
}

func (n *nameReader) need(v ast.Node, id string) {
	if n.scope.needs[id] {
		n.reads.add(reads{needs: map[string]bool{id: true}})
		return
	}
	hint := "the task needs nothing"
	if n.scope.isTask(id) {
		hint = fmt.Sprintf("add %q to the task's needs", id)
	} else if listed := n.scope.task.Needs; len(listed) > 0 {
		hint = n.hint("needs", id, listed)
	}
	n.wrong(v, fmt.Sprintf("%q is not among the task's needs", id), hint)
}

func (n *nameReader) hint(of, name string, known []string) string {
	if dashed := startsWith(name, known); dashed != "" {
		return fmt.Sprintf("a name with - or . is written %s[%q]", of, dashed)
	}
	return n.scope.suggest(name, known)
}

// startsWith finds the name of which an expression reads only the beginning, as my of my-task.
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
		n.first = &mistake{byteOffset(n.source, v.Location().From), msg, hint}
	}
}

func (n *nameReader) mistake() *mistake {
	if n.first == nil && n.bareNeeds > 0 {
		return &mistake{byteOffset(n.source, n.bareAt), "needs stands alone", "name a task: needs.<task>"}
	}
	return n.first
}

func isNamed(v ast.Node, name string) bool {
	id, ok := v.(*ast.IdentifierNode)
	return ok && id.Value == name
}

func unchained(v ast.Node) ast.Node {
	if c, ok := v.(*ast.ChainNode); ok {
		return c.Node
	}
	return v
}
