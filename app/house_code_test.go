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
	"pipeline_definitions": {"modules/pipelines/engine/definitions.go", importing},
	"pipeline_executions": {
		"modules/pipelines/engine/repository.go", "modules/pipelines/engine/reserved.go", retaining, importing,
		"modules/seal/sealer.go", "modules/seal/store.go",
	},
	"task_executions": {
		"modules/tasks/taskstore/apply.go", "modules/tasks/taskstore/columns.go", "modules/tasks/taskstore/read.go",
		retaining, importing,
	},
	"execution_events": {"modules/events/eventstore/repository.go", retaining, importing},
	"task_outbox": {
		"modules/outbox/outbox.go", "modules/outbox/claim_filter.go", "modules/outbox/private.go",
		importing,
	},
	"execution_labels": {"modules/pipelines/engine/labels.go", retaining, importing},
	"log_chunks":       {"modules/tasks/taskstore/logs.go", retaining, importing},
	"chores":           {"modules/chores/chores.go"},
	"run_ends":         {"modules/pipelines/engine/ends.go"},
	"recoveries":       {"modules/leases/recoveries.go"},
	"removed_events":   {retaining},
	"workers":          {"modules/leases/leases.go", importing},
}

// importing copies what transitions have written in another database, with the statuses, events and outbox rows that
// they wrote. It inserts missing rows, and changes no status.
const importing = "modules/archive/store_rows.go"

// retaining removes what is old enough, of ended executions only, and changes no status.
const retaining = "modules/retention/store.go"

var writes = regexp.MustCompile(`(?i)\b(?:INSERT\s+INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE)\s+["{]([a-z_]+)`)

// mayRead lists the packages whose statements read each table, apart from the readers of everything below. A package
// that reads a table of another module depends on it as if it imported that module.
var mayRead = map[string][]string{
	"pipeline_definitions": {"modules/pipelines/engine"},
	"pipeline_executions": {
		"modules/pipelines/engine",
		"modules/outbox",            // which rows are stray
		"modules/events/eventstore", // whether retention removed an event
		"modules/tasks/taskstore",   // which executions are open
		"modules/rundirs",           // which directories belong to runs that have ended
	},
	"task_executions": {
		"modules/tasks/taskstore",
		"modules/outbox",            // which rows are stray
		"modules/events/eventstore", // the execution of a task
		"modules/pipelines/engine",  // the executions of claimed tasks, and when they started
		"modules/bench",             // how long they took
	},
	"execution_events": {
		"modules/events/eventstore",
		"modules/pipelines/engine", // when a run first started
		"modules/bench",            // how many there are
	},
	"task_outbox":      {"modules/outbox", "modules/bench"}, // the first query of a snapshot
	"execution_labels": {"modules/pipelines/engine"},
	"log_chunks":       {"modules/tasks/taskstore"},
	"removed_events":   {"modules/events/eventstore"},
	"chores":           {"modules/chores", "modules/pipelines/engine"}, // whether runs are sealed
	"run_ends":         {"modules/pipelines/engine"},
	"recoveries":       {"modules/leases"},
	"workers":          {"modules/leases", "modules/tasks/taskstore"}, // which workers have no row
}

// readsEverything are the packages that copy, verify, seal or remove whole runs.
var readsEverything = []string{"modules/archive", "modules/audit", "modules/seal", "modules/retention", "chaos"}

var uses = regexp.MustCompile(`(?i)(\b(?:INTO|UPDATE|DELETE\s+FROM)\s+)?\{([a-z_]+)\}`)

// statements calls check with every string of the program.
func statements(t *testing.T, check func(s source, at string, text string)) {
	t.Helper()
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
			check(s, s.at(n), statement)
			return true
		})
	}
}

// TestEachTableHasItsWriters checks that a statement that writes a table is in one of that table's files.
func TestEachTableHasItsWriters(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	written := func(s source, at, table string) {
		found[table+" "+s.path] = true
		if !slices.Contains(mayWrite[table], s.path) {
			t.Errorf("%s writes table %s, which is for %v", at, table, mayWrite[table])
		}
	}
	statements(t, func(s source, at, text string) {
		for _, m := range writes.FindAllStringSubmatch(text, -1) {
			written(s, at, m[1])
		}
	})
	modelInserts(t, written)
	for table, files := range mayWrite {
		for _, file := range files {
			if !found[table+" "+file] {
				t.Errorf("the table of writers has %s in %s, and no statement there writes it", table, file)
			}
		}
	}
}

// TestEachTableHasItsReaders checks that a statement that reads a table is in one of that table's packages.
func TestEachTableHasItsReaders(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	statements(t, func(s source, at, text string) {
		for _, m := range uses.FindAllStringSubmatch(text, -1) {
			if table := m[2]; m[1] == "" && mayRead[table] != nil && !slices.Contains(readsEverything, s.pkg) {
				found[table+" "+s.pkg] = true
				if !slices.Contains(mayRead[table], s.pkg) {
					t.Errorf("%s reads table %s, which is for %v", at, table, mayRead[table])
				}
			}
		}
	})
	for table, packages := range mayRead {
		for _, pkg := range packages {
			if !found[table+" "+pkg] {
				t.Errorf("the table of readers has %s in %s, and no statement there reads it", table, pkg)
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
			if method == ".UseNumber" && !s.test && s.pkg != "platform/jsonvalue" {
				why = "decode with jsonvalue.NewDecoder or jsonvalue.Decode"
			}
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
				t.Errorf("%s: method %s is a GORM hook: an event is written where one can read it", s.at(f),
					f.Name.Name)
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
		if s.test || s.pkg != "app" && !strings.HasPrefix(s.pkg, "modules/") &&
			!strings.HasPrefix(s.pkg, "platform/") || strings.HasPrefix(s.pkg, "platform/db/dbtest") {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "os" &&
					(n.Sel.Name == "Stdout" || n.Sel.Name == "Stderr") {
					t.Errorf("%s uses os.%s: print to a command's own stdout or stderr", s.at(n), n.Sel.Name)
				}
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "fmt" &&
					slices.Contains([]string{"Print", "Printf", "Println"}, n.Sel.Name) {
					t.Errorf("%s uses fmt.%s: print to a command's own stdout", s.at(n), n.Sel.Name)
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil &&
					strings.Contains(text, "\x1b") && !slices.Contains(mayObey, s.path) {
					t.Errorf("%s holds an escape sequence: paint by terminal.Paint, move by terminal.Writer.Redraw",
						s.at(n))
				}
			}
			return true
		})
	}
}
