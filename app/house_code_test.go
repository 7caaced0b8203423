package app_test

import (
	"cmp"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayWrite lists the files with the statements that write each table. A status, its event and its outbox row are
// written in one place each, so that no code path can forget one of them.
var mayWrite = map[string][]string{
	"pipeline_definitions": {"modules/pipelines/definitions.go", importing},
	"pipeline_executions":  {"modules/pipelines/repository.go", "modules/pipelines/reserved.go", retaining, importing, "modules/seal/sealer.go", "modules/seal/store.go"},
	"task_executions":      {"modules/tasks/apply.go", "modules/tasks/columns.go", "modules/tasks/read.go", retaining, importingRows},
	"execution_events":     {"modules/events/repository.go", retaining, importingRows},
	"task_outbox":          {"modules/outbox/outbox.go", "modules/outbox/claim_filter.go", "modules/outbox/private.go", importingRows},
	"execution_labels":     {"modules/pipelines/labels.go", retaining, importing},
	"log_chunks":           {"modules/tasks/logs.go", retaining, importingRows},
	"chores":               {"modules/chores/chores.go"},
	"run_ends":             {"modules/pipelines/ends.go"},
	"recoveries":           {"modules/leases/recoveries.go"},
	"removed_events":       {retaining},
	"workers":              {"modules/leases/leases.go", importingRows},
}

// importing copies what transitions have written in another database, with the statuses, events and outbox rows that
// they wrote. It inserts missing rows, and changes no status.
const (
	importing     = "modules/archive/store.go"
	importingRows = "modules/archive/store_rows.go"
)

// retaining removes what is old enough, of ended executions only, and changes no status.
const retaining = "modules/retention/store.go"

var writes = regexp.MustCompile(`(?i)\b(?:INSERT\s+INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE)\s+["{]([a-z_]+)`)

// TestEachTableHasItsWriters checks that a statement that writes a table is in one of that table's files.
func TestEachTableHasItsWriters(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			text, ok := n.(*ast.BasicLit)
			if !ok || text.Kind != token.STRING {
				return true
			}
			statement, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Errorf("%s: %v", s.at(n), err)
			}
			for _, m := range writes.FindAllStringSubmatch(statement, -1) {
				found[m[1]+" "+s.path] = true
				if !slices.Contains(mayWrite[m[1]], s.path) {
					t.Errorf("%s writes table %s, which is for %v", s.at(n), m[1], mayWrite[m[1]])
				}
			}
			return true
		})
	}
	for table, files := range mayWrite {
		for _, file := range files {
			if !found[table+" "+file] {
				t.Errorf("the table of writers has %s in %s, and no statement there writes it", table, file)
			}
		}
	}
}

// forbidden are calls that no code of this module may make, with the reason.
var forbidden = map[string]string{
	"time.Sleep":     "wait for what you wait for, under a context",
	".Save":          "it writes every column, whoever changed it meanwhile",
	".AutoMigrate":   "the schema is migrations/ alone",
	".Callback":      "a hook by another name",
	".Updates":       "rows are written by statements over sets",
	".UpdateColumn":  "rows are written by statements over sets",
	".UpdateColumns": "rows are written by statements over sets",
	"context.TODO":   "say whose context it is",
}

// forbiddenInTests are further calls that tests must not make, on values with the usual names of a test.
var forbiddenInTests = regexp.MustCompile(`^(?:t|b|f|tb|rt)\.Skip(?:Now|f)?$`)

func TestNoForbiddenCalls(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		ast.Inspect(s.tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			selector, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			method, full := "."+selector.Sel.Name, ""
			if pkg, ok := selector.X.(*ast.Ident); ok {
				full = pkg.Name + method
			}
			why := cmp.Or(forbidden[method], forbidden[full])
			if s.test && forbiddenInTests.MatchString(full) {
				why = cmp.Or(why, "a test that can't run fails")
			}
			if why != "" {
				t.Errorf("%s calls %s: %s", s.at(n), selector.Sel.Name, why)
			}
			return true
		})
	}
}

// hook matches methods that GORM calls by their names, invisibly to readers of the statement.
var hook = regexp.MustCompile(`^(?:(?:Before|After)(?:Create|Save|Update|Delete)|AfterFind)$`)

func TestNoGORMHooks(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, d := range s.tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && hook.MatchString(f.Name.Name) {
				t.Errorf("%s: method %s is a GORM hook: an event is written where one can read it", s.at(f), f.Name.Name)
			}
		}
	}
}

// TestSizes checks that files and functions are small enough to be read as a whole.
func TestSizes(t *testing.T) {
	t.Parallel()
	const longestFile, longestFunc = 300, 60
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if n := s.files.Position(s.tree.FileEnd).Line - 1; n > longestFile {
			t.Errorf("%s has %d lines, allowed are %d", s.path, n, longestFile)
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			var body *ast.BlockStmt
			switch f := n.(type) {
			case *ast.FuncDecl:
				body = f.Body
			case *ast.FuncLit:
				body = f.Body
			}
			if body == nil {
				return true
			}
			if lines := s.files.Position(body.End()).Line - s.files.Position(n.Pos()).Line + 1; lines > longestFunc {
				t.Errorf("%s: a function of %d lines, allowed are %d", s.at(n), lines, longestFunc)
			}
			return true
		})
	}
}

// TestOneWayToTheTerminal checks that everything that is printed goes through a terminal.Writer, which escapes data.
// Only main uses the process's own streams, and only a few places, none of which handles data, make terminal
// sequences.
func TestOneWayToTheTerminal(t *testing.T) {
	t.Parallel()
	mayObey := []string{"platform/terminal/writer.go", "app/progress_bar.go", "app/live.go"}
	for _, s := range sources(t) {
		if s.test || s.pkg != "app" && !strings.HasPrefix(s.pkg, "modules/") && !strings.HasPrefix(s.pkg, "platform/") || strings.HasPrefix(s.pkg, "platform/db/dbtest") {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "os" && (n.Sel.Name == "Stdout" || n.Sel.Name == "Stderr") {
					t.Errorf("%s uses os.%s: print to a command's own stdout or stderr", s.at(n), n.Sel.Name)
				}
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "fmt" && slices.Contains([]string{"Print", "Printf", "Println"}, n.Sel.Name) {
					t.Errorf("%s uses fmt.%s: print to a command's own stdout", s.at(n), n.Sel.Name)
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil && strings.Contains(text, "\x1b") && !slices.Contains(mayObey, s.path) {
					t.Errorf("%s holds an escape sequence: paint by terminal.Paint, move by terminal.Writer.Redraw", s.at(n))
				}
			}
			return true
		})
	}
}
