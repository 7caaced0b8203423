package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The packages that the tests below run: each file is a package of its own in a module made for the purpose.
var module = map[string]string{
	"go.mod": "module m\n\ngo 1.24\n",
	"good/x_test.go": `package good
import "testing"
func TestLeaf(t *testing.T) {}
func TestParent(t *testing.T) {
	t.Run("a", func(t *testing.T) {})
	t.Run("b", func(t *testing.T) { t.Run("deep", func(t *testing.T) {}) })
}`,
	"skips/x_test.go": "package skips\nimport \"testing\"\nfunc TestSkips(t *testing.T) { t.Skip(\"why\") }",
	"bad/x_test.go": `package bad
import "testing"
func TestParent(t *testing.T) {
	t.Run("bad", func(t *testing.T) { t.Error("this is wrong") })
	t.Run("good", func(t *testing.T) { t.Log("not shown") })
}`,
	"parent/x_test.go": "package parent\nimport \"testing\"\nfunc TestParent(t *testing.T) { t.Run(\"good\", func(t " +
		"*testing.T) {}); t.Error(\"the parent alone\") }",
	"panics/x_test.go": "package panics\nimport \"testing\"\nfunc TestPanics(t *testing.T) { panic(\"boom\") }",
	"exits/x_test.go": "package exits\nimport (\"os\"; \"testing\")\nfunc TestExits(t *testing.T) { " +
		"println(\"bye\"); os.Exit(0) }",
	"builds/x_test.go": "package builds\nvar x int = \"no number\"",
	"vets/x_test.go":   "package vets\nimport \"testing\"\nfunc TestVets(t *testing.T) { t.Errorf(\"%d\", \"x\") }",
	"leaks/x_test.go": "package leaks\nimport (\"os\"; \"testing\")\nfunc TestMain(m *testing.M) { m.Run(); " +
		"println(\"a leak\"); os.Exit(1) }\nfunc TestGood(t *testing.T) {}",
	"empty/x.go": "package empty",
}

func TestCounts(t *testing.T) {
	dir := t.TempDir()
	for name, text := range module {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, test := range []struct {
		args  string
		ok    bool
		last  string
		shown string // somewhere in the output
	}{
		{"./good", true, "3 passed, 0 failed", "ok   m/good"},
		{"./good ./skips ./empty", true, "3 passed, 0 failed, 1 skipped", "TestParent/b/deep"},
		{
			"./good -- ./good", true, "6 passed, 0 failed",
			"ok   m/good                                                3 tests",
		},
		{"./bad -- -run TestParent/good ./bad", false, "2 passed, 1 failed", "ok   m/bad "},
		{"./bad", false, "1 passed, 1 failed", "this is wrong"},
		{"./parent", false, "1 passed, 1 failed", "the parent alone"},
		{"./panics", false, "0 passed, 1 failed", "boom"},
		{"./exits", false, "0 passed, 1 failed", "unexpected call to os.Exit(0) during test"},
		{"./builds ./good", false, "3 passed, 1 failed", "no number"},
		{"./vets", false, "0 passed, 1 failed", "wrong type"},
		{"./leaks", false, "1 passed, 1 failed", "a leak"},
		{"./empty", false, "0 passed, 0 failed", "no tests ran"},
		{"./none", false, "0 passed, 1 failed", "directory not found"},
		{"-timeout nonsense ./good", false, "0 passed, 1 failed", "exit code 2"},
		{"-run Nothing ./good", false, "0 passed, 0 failed", "no tests ran"},
	} {
		var out strings.Builder
		ok, err := run(strings.Fields(test.args), &out)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if last := lines[len(lines)-1]; ok != test.ok || last != test.last ||
			!strings.Contains(out.String(), test.shown) {
			t.Errorf("%s: %v and %q, expected %v and %q, with %q in:\n%s", test.args, ok, last, test.ok, test.last,
				test.shown, out.String())
		}
		if strings.Contains(out.String(), "not shown") {
			t.Errorf("%s: output of a test that passed is shown:\n%s", test.args, out.String())
		}
	}
}
