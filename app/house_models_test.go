package app_test

import (
	"go/ast"
	"slices"
	"strconv"
	"testing"
)

// modelInserts calls written with each insert through a model of a table (db.ModelOf).
func modelInserts(t *testing.T, written func(s source, at, table string)) {
	t.Helper()
	models := map[string]string{} // from package and variable to table
	for range 2 {                 // the second time for variables that are made from others
		for _, s := range sources(t) {
			ast.Inspect(s.tree, func(n ast.Node) bool {
				v, ok := n.(*ast.ValueSpec)
				if !ok || len(v.Names) != 1 || len(v.Values) != 1 {
					return true
				}
				if table := modelTable(s.pkg, v.Values[0], models); table != "" {
					models[s.pkg+" "+v.Names[0].Name] = table
				}
				return true
			})
		}
	}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if ok && slices.Contains([]string{"Insert", "InsertSQL"}, method.Sel.Name) {
				if table := modelTable(s.pkg, method.X, models); table != "" {
					written(s, s.at(n), table)
				}
			}
			return true
		})
	}
}

// modelTable returns the table of an expression that is a model: db.ModelOf[T]("table"), a variable of one, or some of
// its columns (Only, Without). It returns "" for others.
func modelTable(pkg string, e ast.Expr, models map[string]string) string {
	switch x := e.(type) {
	case *ast.Ident:
		return models[pkg+" "+x.Name]
	case *ast.CallExpr:
		if index, ok := x.Fun.(*ast.IndexExpr); ok {
			if name, ok := index.X.(*ast.SelectorExpr); ok && name.Sel.Name == "ModelOf" && len(x.Args) == 1 {
				if text, ok := x.Args[0].(*ast.BasicLit); ok {
					table, _ := strconv.Unquote(text.Value) // the parser has accepted it
					return table
				}
			}
		}
		if method, ok := x.Fun.(*ast.SelectorExpr); ok {
			return modelTable(pkg, method.X, models)
		}
	}
	return ""
}
