package definition_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

// warned returns the words at the position of each warning about a script, with the program that the warning names.
func warned(t *testing.T, shell, script string) []string {
	t.Helper()
	var text strings.Builder
	text.WriteString("name: p\ninput: {x: {type: string, default: a}, y: {type: string, default: b}}\n")
	fmt.Fprintf(&text, "tasks:\n  - id: a\n    shell: %s\n    run: |\n", shell)
	for line := range strings.SplitSeq(script, "\n") {
		text.WriteString("      " + line + "\n")
	}
	d := parse(t, text.String())
	lines := strings.Split(text.String(), "\n")
	var got []string
	for _, w := range d.Warnings() {
		_, rest, _ := strings.Cut(w.Message, "of a text that ")
		program, _, _ := strings.Cut(rest, " ")
		at := lines[w.Line-1][w.Column-1:]
		if w.Hint == "" || w.File != "p.yaml" || w.Path != "tasks[0].run" {
			t.Errorf("%+v", w)
		}
		got = append(got, program+" "+strings.TrimSpace(at)[:len("input.x")])
	}
	return got
}

func TestWarningsOfTextThatIsParsedAgain(t *testing.T) {
	const x, y = "${{ input.x }}", "${{ input.y }}"
	for script, want := range map[string][]string{
		`if true; then command eval "` + x + `"; fi`:             {"eval input.x"},
		"bash <<EOF\necho " + x + "\nEOF":                        {"bash input.x"},
		`sh -c 'echo "$1"' -- ` + x:                              nil,
		`sh -c "echo ` + x + ` ` + y + `"; echo ` + y + `; true`: {"sh input.x", "sh input.y"},
	} {
		if diff := cmp.Diff(want, warned(t, "bash", script)); diff != "" {
			t.Errorf("%s\n%s", script, diff)
		}
	}
}

// TestWarningsAreBounded checks that neither nesting nor the number of warnings makes a file expensive, and that a
// script that cannot be parsed is not an error.
func TestWarningsAreBounded(t *testing.T) {
	for _, open := range []string{"(", "{ ", "$(", `"$(`, "if ", "[[ (", "! ", "case x in x) "} {
		script := `eval "${{ input.x }}"; ` + strings.Repeat(open, (15<<10)/len(open))
		src := "name: p\ninput: {x: {type: string, default: a}}\ntasks: [{id: a, run: " + fmt.Sprintf("%q", script) +
			"}]"
		if _, err := definition.Parse("p.yaml", []byte(src), catalog(t)); err != nil {
			t.Errorf("%q: %.200v", open, err)
		}
	}
	many := warned(t, "sh", strings.TrimSuffix(strings.Repeat("eval \"${{ input.x }}\"\n", 300), "\n"))
	if len(many) != 100 {
		t.Errorf("%d warnings", len(many))
	}
}
