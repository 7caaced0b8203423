package definition_test

import (
	"fmt"
	"slices"
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
	for script, want := range map[string]string{
		`eval "echo ` + x + `"`:                             "eval",
		`eval echo ` + x:                                    "eval",
		`if true; then command eval "` + x + `"; fi`:        "eval",
		`v=$(eval "` + x + `")`:                             "eval",
		`trap "rm ` + x + `" EXIT`:                          "trap",
		`sh -c "echo ` + x + `"`:                            "sh",
		`/bin/sh -ec "echo ` + x + `"`:                      "sh",
		`bash -eo pipefail -c "` + x + `"`:                  "bash",
		`bash --norc -c ` + x:                               "bash",
		`ls | xargs -n 1 sh -c "echo ` + x + `"`:            "sh",
		`sudo -u me env A=1 sh -c "echo ` + x + `"`:         "sh",
		`find . -exec sh -c "echo ` + x + `" \;`:            "sh",
		`docker run image sh -c "echo ` + x + `"`:           "sh",
		`su - me -c "echo ` + x + `"`:                       "su",
		`ssh host "ls ` + x + `"`:                           "ssh",
		`ssh -p 22 -tt me@host ls ` + x:                     "ssh",
		`ssh -oBatchMode=yes host -- ls ` + x:               "ssh",
		"bash <<EOF\necho " + x + "\nEOF":                   "bash",
		"ssh host bash -s <<EOF\necho " + x + "\nEOF":       "bash",
		"ssh host <<EOF\necho " + x + "\nEOF":               "ssh",
		`echo "rm ` + x + `" | sh`:                          "sh",
		`printf '%s\n' "rm ` + x + `" | ssh host sh`:        "sh",
		`sh -c "$(cat f) ` + x + `"`:                        "sh",
		`sh -c 'echo "$1"' -- ` + x:                         "",
		`sh -c 'echo "$0"' ` + x:                            "",
		`bash -c 'echo "$1"' bash ` + x + ` | sort`:         "",
		`ls | xargs -I{} sh -c 'echo "$1" "$2"' sh {} ` + x: "",
		`sh script.sh ` + x:                                 "",
		`bash -e script.sh -c ` + x:                         "",
		`sh ` + x:                                           "",
		`echo sh -c "` + x + `"`:                            "",
		`eval 'echo "$NAME"'; echo ` + x:                    "",
		`trap 'echo done' EXIT; echo ` + x:                  "",
		`trap 'echo done' ` + x:                             "",
		`ssh -i ` + x + ` host ls`:                          "",
		`ssh ` + x + ` uptime`:                              "",
		`printf '%s\n' ` + x + ` | ssh host 'read -r v'`:    "",
		`printf '%s\n' ` + x + ` | sh -c 'read -r v'`:       "",
		`echo ` + x + ` | sh script.sh`:                     "",
		"cat <<EOF\n" + x + "\nEOF":                         "",
		"ssh host 'cat > f' <<EOF\n" + x + "\nEOF":          "",
		`sh -c "echo $(printf %q ` + x + `)"`:               "",
		`# eval ` + x + "\ntrue":                            "",
		`shred ` + x + `; hash -r`:                          "",
	} {
		var list []string
		if want != "" {
			list = []string{want + " input.x"}
		}
		if diff := cmp.Diff(list, warned(t, "bash", script)); diff != "" {
			t.Errorf("%s\n%s", script, diff)
		}
	}
	two := warned(t, "sh", `sh -c "echo `+x+` `+y+`"; eval `+x)
	slices.Sort(two)
	if diff := cmp.Diff([]string{"eval input.x", "sh input.x", "sh input.y"}, two); diff != "" {
		t.Error(diff)
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
