package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// extension is a copy of examples/extension outside the repository, as another team would have it.
type extension struct{ dir string }

func newExtension(t *testing.T) extension {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	x := extension{filepath.Join(t.TempDir(), "orders")}
	if err := os.CopyFS(x.dir, os.DirFS("examples/extension")); err != nil {
		t.Fatal(err)
	}
	x.ok(t, "go", "mod", "edit", "-replace", "github.com/sluiceworks/sluice="+root)
	return x
}

// ok runs a command in the copy's directory, and returns what it prints.
func (x extension) ok(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = x.dir, append(os.Environ(), "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		// If a dependency of the program has changed: go mod tidy in examples/extension.
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// raced returns -race if these tests were built with it, so that go test finds the packages in the build cache. go vet
// and go build find theirs in any case, because the gate and the other tests of this package build without it.
func raced() []string {
	info, _ := debug.ReadBuildInfo()
	if info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return []string{"-race"}
	}
	return nil
}

// TestExtension vets, builds and tests a module that imports this one, and runs a pipeline with its binary.
func TestExtension(t *testing.T) {
	t.Parallel()
	x := newExtension(t)
	x.ok(t, "go", "vet", "./...")
	x.ok(t, "go", append(append([]string{"test"}, raced()...), "./...")...)
	x.ok(t, "go", "build", "-ldflags=-w", "-o", "bin/orders", ".")
	db := filepath.Join(t.TempDir(), "orders.db")
	out := x.ok(t, "bin/orders", "--database-url", "sqlite://"+db, "run", "order", "--input",
		`{"items": [{"name": "tea", "count": 2}]}`)
	if !strings.Contains(out, "price | 2 tea") || !strings.Contains(out, "2 Completed") {
		t.Error(out)
	}
	x.ok(t, "bin/orders", "--database-url", "sqlite://"+db, "verify")
}

// TestExtensionLinksNoDatabase checks that the package with the handlers and the pipeline links no driver.
func TestExtensionLinksNoDatabase(t *testing.T) {
	t.Parallel()
	list := strings.Fields(newExtension(t).ok(t, "go", "list", "-deps", "./orders"))
	if !slices.Contains(list, "github.com/sluiceworks/sluice/modules/tasks") {
		t.Fatal(list)
	}
	driver := regexp.MustCompile(
		`^(gorm\.io|github\.com/(jackc|mattn/go-sqlite3|pressly/goose|lib/pq)|modernc\.org/sqlite)(/|$)|` +
			`/sluice/platform/db$`)
	for _, p := range list {
		if driver.MatchString(p) {
			t.Errorf("it links %s", p)
		}
	}
}

// TestGoDocs checks that the Go code of docs/go.md is a part of a file that is built and tested: of examples/, or of
// an example of a package. Indentation does not count.
func TestGoDocs(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("docs/go.md")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, pattern := range []string{
		"examples/*/*.go", "examples/*/*/*.go", "*/example_test.go",
		"modules/*/example_test.go", "modules/*/*/example_test.go",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	indent := regexp.MustCompile(`(?m)^[ \t]+`)
	var sources []string
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, indent.ReplaceAllString(string(text), ""))
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(docs, -1)
	if len(blocks) < 6 || len(sources) < 10 {
		t.Fatalf("%d blocks, %d files", len(blocks), len(sources))
	}
	for _, b := range blocks {
		code := indent.ReplaceAllString(string(b[1]), "")
		if !slices.ContainsFunc(sources, func(s string) bool { return strings.Contains(s, code) }) {
			t.Errorf("no file in examples/ and no example of a package contains\n%s", b[1])
		}
	}
}
