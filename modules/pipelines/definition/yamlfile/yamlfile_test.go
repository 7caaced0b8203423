package yamlfile_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
)

// document decodes a text. The root is nil if there are mistakes.
func document(src string) (*yamlfile.Decoder, *yaml.Node) {
	d := &yamlfile.Decoder{List: "tasks", Defaults: "defaults"}
	return d, d.Document([]byte(src), 1<<10)
}

// printed returns mistakes in the form line:column: path: message (hint).
func printed(list []yamlfile.Mistake) []string {
	var out []string
	for _, m := range list {
		out = append(out, fmt.Sprintf("%d:%d: %s: %s (%s)", m.Line, m.Column, m.Path, m.Message, m.Hint))
	}
	return out
}

// TestRefusedDocuments checks the mistakes after which a document is not read any further.
func TestRefusedDocuments(t *testing.T) {
	for src, want := range map[string]string{
		"":                        "1:1: : the file is empty (a pipeline has a name and tasks)",
		"# nothing\n":             "1:1: : the file is empty (a pipeline has a name and tasks)",
		"~":                       "1:1: : the file is empty (a pipeline has a name and tasks)",
		strings.Repeat("#", 1025): "1:1: : the file has 1025 bytes, more than the limit of 1024 ()",
		"a: 1\né: \"\xff\"":       "2:5: : the file is not valid UTF-8 (save the file as UTF-8)",
		"a: 1\n---\nb: 2":         "2:1: : a second document begins here (write each pipeline into its own file)",
		"a:\n\tb: 1":              "2:1: : this is not YAML: a tab cannot indent (use spaces)",
		"a: [1\nb: {x: ${{ y }} }": "2:8: : this is not YAML: did not find expected ',' or ']' " +
			"in the block around here (put a text with ${{ }} into quotes)",
		"a: !!str 1": "1:4: : tags (!!str) are not supported (put a text that begins with ! into quotes)",
		"a: \"\\0\"": "1:4: : this text holds a NUL byte ()",
		"a: &x [*x]": "1:8: : the alias *x stands within what it is an alias of ()",
		"a: {<<: 1}": "1:9: : a merge key needs a mapping, and this is the number 1 " +
			"(<<: takes *NAME of a mapping, or a list of such)",
		strings.Repeat("[", 102) + strings.Repeat("]", 102): "1:102: : this is nested deeper than 100 ()",
	} {
		d, root := document(src)
		if diff := cmp.Diff([]string{want}, printed(d.Mistakes())); diff != "" || root != nil {
			t.Errorf("%.40q: root %v\n%s", src, root, diff)
		}
	}
}

// TestValues checks the conversion to JSON: aliases and merge keys are resolved, and numbers keep their digits.
func TestValues(t *testing.T) {
	for src, want := range map[string]string{
		"[1, 1.10, 0x1f, 1_000, +1, .5, 9007199254740993, 1e300]": `[1,1.10,31,1000,1,0.5,9007199254740993,1e300]`,
		"[yes, true, ~, '1', 2026-11-27]":                         `["yes",true,null,"1","2026-11-27"]`,
		"{a: &x {b: 1, c: 2}, d: {<<: *x, c: 3}, e: [*x]}": `{"a":{"b":1,"c":2},` +
			`"d":{"b":1,"c":3},"e":[{"b":1,"c":2}]}`,
		"{a: {<<: [{b: 1}, {b: 2, c: 3}]}}": `{"a":{"b":1,"c":3}}`,
	} {
		d, root := document(src)
		if root == nil {
			t.Fatalf("%s: %v", src, printed(d.Mistakes()))
		}
		got, err := json.Marshal(d.Value(root, nil))
		if err != nil || string(got) != want || len(d.Mistakes()) > 0 {
			t.Errorf("%s is read as %s (%v, %v), want %s", src, got, err, printed(d.Mistakes()), want)
		}
	}
	d, root := document("[.inf]")
	d.Value(root, yamlfile.Key("with"))
	want := []string{"1:2: with[0]: .inf cannot be written as a JSON number (put it into quotes if it is a text)"}
	if diff := cmp.Diff(want, printed(d.Mistakes())); diff != "" {
		t.Error(diff)
	}
}

// TestPositions checks where later mistakes are found: in a text, in an item's inherited setting, and in nothing.
func TestPositions(t *testing.T) {
	d, root := document(`tasks:
  - run: |
      one
      two é three
    if: "äb c"
defaults:
  timeout: 5
`)
	if root == nil || !d.HasDocument() {
		t.Fatal(printed(d.Mistakes()))
	}
	task := yamlfile.Key("tasks").Item(0)
	d.AddIn(task.Key("run"), len("one\ntwo é "), "", "in a block")
	d.AddIn(task.Key("if"), len("äb "), "", "in quotes")
	d.Add(task.Key("timeout"), "hint", "inherited")
	d.Add(task.Key("needs").Item(3), "", "of what the task lacks")
	d.Add(task.Key("timeout"), "hint", "inherited")
	want := []string{
		"2:5: tasks[0].needs[3]: of what the task lacks ()", "4:13: tasks[0].run: in a block ()",
		"5:13: tasks[0].if: in quotes ()", "7:12: tasks[0].timeout: inherited (hint)",
	}
	if diff := cmp.Diff(want, printed(d.Mistakes())); diff != "" {
		t.Error(diff)
	}
}

// TestSuppressedMistakes checks that what was wrong in the document is not reported as missing or invalid once more.
func TestSuppressedMistakes(t *testing.T) {
	d, root := document("{nam: p, b: 1, b: 2}")
	if got := d.Mapping(root, nil, "the pipeline", []string{"name", "b"}); len(got) != 1 || got[0].Name != "b" {
		t.Errorf("entries %+v", got)
	}
	d.Add(yamlfile.Key("name"), "", "missing")
	want := []string{
		`1:2: nam: unknown key "nam" in the pipeline (did you mean "name"?)`,
		`1:16: b: duplicate key "b" in the pipeline ()`,
	}
	if diff := cmp.Diff(want, printed(d.Mistakes())); diff != "" {
		t.Error(diff)
	}
}

// TestWithoutDocument checks that mistakes in a value built in Go have paths alone, and that their number is bounded.
func TestWithoutDocument(t *testing.T) {
	d := &yamlfile.Decoder{}
	for i := range 1100 {
		d.Add(yamlfile.Key("tasks").Item(i), "", "wrong")
	}
	got := d.Mistakes()
	if len(got) != 1001 || got[0].Line != 0 || got[0].Path != "tasks[0]" || d.HasDocument() ||
		got[1000].Message != "no more than 1000 mistakes are listed" {
		t.Errorf("%d mistakes, the first %+v, the last %+v", len(got), got[0], got[len(got)-1])
	}
}

// TestFromJSON checks that a JSON value is written as YAML with its keys in their order and with its digits.
func TestFromJSON(t *testing.T) {
	root, err := yamlfile.FromJSON([]byte(`{"b":[1.10,"1",null],"a":{"x":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := yamlfile.Encode(root)
	if want := "b:\n  - 1.10\n  - \"1\"\n  - null\na:\n  x: true\n"; err != nil || string(got) != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}
