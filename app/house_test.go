package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport says which packages of this module may import which others, apart from those in everywhere. A *
// in a key stands for one name. Imports go one way, from main down to platform/db. A package that is not listed fails
// the test, so whoever adds one decides its place.
var mayImport = map[string][]string{
	"migrations":                  {},
	"platform/dbtype":             {"platform/jsonvalue"},
	"platform/duration":           {},
	"platform/jsonvalue":          {},
	"platform/suggest":            {},
	"platform/db":                 {"migrations", "platform/redact"},
	"platform/terminal":           {},
	"platform/redact":             {},
	"platform/orphans":            {},
	"platform/db/dbtest":          {"migrations", "platform/db", "platform/db/dbtest/localpg"},
	"platform/db/dbtest/localpg":  {},
	"platform/db/dbtest/pgserver": {"platform/db/dbtest/localpg"},
	"modules/events":              {},
	"modules/tasks":               {"modules/events", "platform/suggest"},
	"modules/schedules/cron":      {},
	"modules/schedules":           {"modules/schedules/cron"},
	"modules/pipelines/definition": {
		"modules/pipelines/definition/expr", "modules/pipelines/definition/shellquote",
		"modules/pipelines/definition/yamlfile", "modules/tasks", "platform/duration", "platform/suggest",
	},
	"modules/pipelines/definition/expr":       {"platform/suggest"},
	"modules/pipelines/definition/shellquote": {},
	"modules/pipelines/definition/yamlfile":   {"platform/duration", "platform/suggest"},
	"modules/pipelines/oracle":                {},
	"modules/pipelines": {
		"modules/pipelines/definition", "modules/pipelines/definition/expr", "modules/tasks", "modules/events",
	},
	"modules/events/eventstore": {"modules/events", "platform/db"},
	"modules/outbox":            {"modules/tasks", "platform/db"},
	"modules/leases":            {"platform/db"},
	"modules/tasks/taskstore": {
		"modules/tasks", "modules/events", "modules/events/eventstore", "modules/outbox", "platform/db",
	},
	"modules/pipelines/engine": {
		"modules/pipelines", "modules/pipelines/definition", "modules/pipelines/definition/expr", "modules/tasks",
		"modules/tasks/taskstore", "modules/leases",
		"modules/events", "modules/events/eventstore", "modules/outbox", "platform/db", "platform/duration",
	},
	"modules/workers": {
		"modules/pipelines", "modules/pipelines/definition", "modules/pipelines/engine", "modules/tasks",
		"modules/tasks/taskstore", "modules/leases", "modules/outbox", "modules/rundirs", "modules/workers/slots",
		"platform/db",
	},
	"modules/workers/slots":  {"modules/tasks"},
	"modules/rundirs":        {"platform/db"},
	"modules/handlers/*":     {"modules/handlers/web", "modules/tasks", "platform/redact"},
	"modules/handlers/shell": {"modules/tasks"},
	"modules/handlers/wait":  {"modules/handlers/web", "modules/tasks", "platform/duration", "platform/redact"},
	"modules/bench": {
		"modules/workers", "modules/pipelines", "modules/pipelines/definition", "modules/pipelines/engine",
		"modules/tasks", "modules/events", "modules/audit", "platform/db",
	},
	"modules/chores":    {"platform/db"},
	"modules/retention": {"modules/chores", "modules/pipelines/engine", "modules/pipelines/definition", "platform/db"},
	"modules/seal":      {"modules/chores", "modules/events", "platform/db"},
	"modules/archive": {
		"modules/pipelines", "modules/pipelines/definition", "modules/pipelines/engine", "modules/tasks",
		"modules/events", "platform/db",
	},
	"modules/health": {
		"modules/workers", "modules/workers/slots", "modules/pipelines", "modules/pipelines/engine", "modules/outbox",
		"platform/db",
	},
	"modules/audit": {
		"modules/events", "modules/pipelines/definition", "modules/seal", "modules/tasks",
		"platform/db",
	},
	"modules/history": {"modules/audit", "modules/pipelines", "modules/tasks", "modules/events"},
	"modules/inspect": {
		"modules/history", "modules/audit", "modules/pipelines", "modules/pipelines/engine", "modules/tasks",
		"modules/tasks/taskstore", "modules/events", "modules/events/eventstore", "modules/outbox", "modules/leases",
		"platform/db", "platform/terminal",
	},
	"modules/views":           {"modules/pipelines", "modules/tasks"},
	"modules/audit/audittest": {"modules/audit", "platform/db", "platform/db/dbtest"},
	"modules/enginetest": {
		"modules/*", "modules/*/*", "modules/audit/audittest", "platform/db",
		"platform/db/dbtest",
	},
	"app": {"modules/*", "modules/*/*", "platform/*"},
	"client": {
		"modules/pipelines", "modules/pipelines/definition", "modules/pipelines/engine", "modules/tasks",
		"modules/tasks/taskstore", "modules/events/eventstore", "modules/leases", "modules/outbox", "modules/workers",
		"platform/db",
	},
	"sluicetest": {
		"client", "modules/pipelines", "modules/pipelines/definition", "modules/tasks",
		"modules/audit/audittest", "platform/db", "platform/db/dbtest",
	},
	".":                {"app", "examples/*"},
	"examples/*":       {"modules/tasks", "modules/pipelines", "modules/pipelines/definition"},
	"examples/greeter": {"app", "modules/tasks"},
	"scripts/*":        {},
	"chaos":            {"chaos/step", "modules/*", "modules/*/*", "platform/db", "platform/db/dbtest/localpg"},
	"chaos/driver":     {"chaos"},
	"chaos/step":       {"modules/tasks", "modules/pipelines", "modules/pipelines/definition"},
	"chaos/worker":     {"app", "chaos/step"},
}

// everywhere may be imported by every package.
var everywhere = []string{"platform/dbtype", "platform/jsonvalue"}

// testHelpers may be imported by any test, and otherwise only where the table allows it.
var testHelpers = []string{
	"platform/db/dbtest", "platform/db/dbtest/localpg", "modules/audit/audittest", "modules/enginetest",
	"modules/pipelines/oracle",
}

// drivers are the packages for one database.
var drivers = []string{
	"gorm.io/driver/", "github.com/jackc/pgx/", "github.com/mattn/go-sqlite3", "modernc.org/sqlite",
	"github.com/pressly/goose/", "github.com/lib/pq",
}

// source is a parsed file of this repository.
type source struct {
	path  string // from the root, with slashes
	pkg   string // its directory, "." for the root
	test  bool
	tree  *ast.File
	files *token.FileSet
}

// sources parses every Go file, whatever its build constraints.
func sources(t *testing.T) []source {
	t.Helper()
	root := os.DirFS("..")
	var all []source
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || name == "bin") {
				return fs.SkipDir
			}
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil && name != "." {
				return fs.SkipDir // a separate module that compares other engines, of which this program uses nothing
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		files := token.NewFileSet()
		tree, err := parser.ParseFile(files, filepath.Join("..", name), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{name, path.Dir(name), strings.HasSuffix(name, "_test.go"), tree, files})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d Go files were found", len(all))
	}
	return all
}

// imports returns the paths that a file imports.
func (s source) imports(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, i := range s.tree.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// at returns the position of a node, for messages.
func (s source) at(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.files.Position(n.Pos()).Line)
}

func matches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, pkg)
		return err == nil && ok
	})
}

// TestImportsRunOneWay checks every file against the table.
func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, s := range sources(t) {
		allowed, key := lookup(s.pkg)
		if key == "" {
			t.Errorf("%s: package %s is not in the import table", s.path, s.pkg)
			continue
		}
		used[key] = true
		for _, p := range s.imports(t) {
			if own, ok := strings.CutPrefix(p, "github.com/sluiceworks/sluice/"); ok && !s.mayImport(own, allowed) {
				t.Errorf("%s: %s may not import %s; it may import %v", s.path, s.pkg, own, allowed)
			}
		}
	}
	for key := range mayImport {
		if !used[key] {
			t.Errorf("the import table has %s, and there is no such package", key)
		}
	}
}

// outside is what a module's integration tests may import in addition, because they are outside the package and test
// the whole.
var outside = []string{"modules/*", "modules/*/*"}

// mayImport checks an import against its row of the table. Patterns do not match test helpers. A test may import
// those, its own package, and the database.
func (s source) mayImport(own string, allowed []string) bool {
	helper := slices.Contains(testHelpers, own)
	if slices.Contains(everywhere, own) {
		return true
	}
	if s.test && strings.HasSuffix(s.tree.Name.Name, "_test") && matches(outside, own) {
		return true
	}
	if s.test && (helper || own == s.pkg || own == "platform/db") {
		return true
	}
	return matches(allowed, own) && (!helper || slices.Contains(allowed, own))
}

// lookup returns a package's row: by its own name, or else by a pattern.
func lookup(pkg string) (allowed []string, key string) {
	if allowed, ok := mayImport[pkg]; ok {
		return allowed, pkg
	}
	for pattern, allowed := range mayImport {
		if matches([]string{pattern}, pkg) {
			return allowed, pattern
		}
	}
	return nil, ""
}

func TestOnlyPlatformDBImportsDrivers(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.pkg == "platform/db" || strings.HasPrefix(s.pkg, "platform/db/") {
			continue
		}
		for _, p := range s.imports(t) {
			if isDriver(p) {
				t.Errorf("%s imports %s; only platform/db knows a driver", s.path, p)
			}
		}
	}
}

// withoutDatabase are the packages that link no driver, not even through another package: the domain, and what
// handlers and pipelines of extensions import.
var withoutDatabase = []string{
	"platform/dbtype", "platform/jsonvalue", "platform/duration", "platform/suggest", "modules/events", "modules/tasks",
	"modules/schedules", "modules/pipelines", "modules/pipelines/definition", "modules/pipelines/definition/expr",
	"modules/pipelines/definition/shellquote", "modules/pipelines/definition/yamlfile",
	"modules/handlers/http", "modules/handlers/shell", "modules/handlers/wait", "modules/workers/slots",
	"examples/wordcount",
}

// TestDomainLinksNoDatabase checks all packages that the domain and the handlers import, directly or not.
func TestDomainLinksNoDatabase(t *testing.T) {
	t.Parallel()
	for _, pkg := range withoutDatabase {
		list, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/sluiceworks/sluice/"+pkg).
			Output()
		if err != nil {
			t.Fatal(pkg, err)
		}
		for _, p := range strings.Fields(string(list)) {
			own, isOwn := strings.CutPrefix(p, "github.com/sluiceworks/sluice/")
			if strings.HasPrefix(p, "gorm.io/") || isDriver(p) || isOwn &&
				(own == "platform/db" || own == "migrations") {
				t.Errorf("%s links %s", pkg, p)
			}
		}
	}
}

func isDriver(pkg string) bool {
	return slices.ContainsFunc(drivers,
		func(d string) bool { return strings.HasPrefix(pkg+"/", d) || strings.HasPrefix(pkg, d) })
}

// TestFxIsForComposition checks that constructors are plain, and usable without fx.
func TestFxIsForComposition(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		composes := path.Base(s.path) == "module.go" || s.pkg == "app" || s.pkg == "." ||
			strings.HasPrefix(s.pkg, "examples/")
		if !composes && !s.test &&
			slices.ContainsFunc(s.imports(t), func(p string) bool { return strings.HasPrefix(p, "go.uber.org/fx") }) {
			t.Errorf("%s imports fx; that is for module.go and app", s.path)
		}
	}
}
