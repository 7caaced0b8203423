package definition_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

// hostile are values that do harm or are split wherever a shell reads them as anything but data.
var hostile = []string{
	`"; touch pwned #`, `$(touch pwned)`, "`touch pwned`", `'; touch pwned; '`, `" && touch pwned && "`, `${HOME}`, `\`,
	`\\"`, `*`, `a  b`,
	"line one\nline two\n", "EOF\ntouch pwned\n", `~`, `!!`, `| touch pwned`, `> pwned`, `x"y'z`, "", " ", "-n", "%s%n",
	"ü…\t", `$((1+1))`, `}`, `)`,
}

// commandTask returns a definition whose task b runs script with the output of a.
func commandTask(script string) *definition.Definition {
	return &definition.Definition{Name: "p", Tasks: []definition.Task{
		{ID: "a", Run: "true"}, {ID: "b", Needs: []string{"a"}, Run: script},
	}}
}

func runScript(t *testing.T, shell, script, value string) string {
	t.Helper()
	d := commandTask(script)
	if err := d.Check(catalog(t)); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(map[string]string{"v": value})
	if err != nil {
		t.Fatal(err)
	}
	got, err := task(t, d, "b").Resolve(t.Context(), values("", map[string]string{"a": string(out)}))
	if err != nil {
		t.Fatal(err)
	}
	var with struct{ Script string }
	if err := json.Unmarshal(got.With, &with); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(shell, "-c", with.Script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME=/nowhere")
	for name, v := range got.Env {
		cmd.Env = append(cmd.Env, name+"="+v)
	}
	printed, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v: %s", with.Script, err, printed)
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		t.Errorf("the value %q was run by %s", value, with.Script)
	}
	return string(printed)
}

func TestShellValuesAreData(t *testing.T) {
	scripts := map[string]string{ // each prints the whole value between < and >
		"unquoted":                 `printf '<%s>' ${{ needs.a.v }}`,
		"in a word":                `printf '%s' "<"${{ needs.a.v }}\>`,
		"double quotes":            `printf '%s' "<${{ needs.a.v }}>"`,
		"after an apostrophe":      "# don't\nprintf '<%s>' ${{ needs.a.v }} # it's ${{ needs.a.v }}",
		"after escaped quotes":     `printf '<%s%s>' "\"" ${{ needs.a.v }} | sed '1s/<"/</'`,
		"assignment":               "x=${{ needs.a.v }}\n" + `printf '<%s>' "$x"`,
		"substitution":             `x=$(printf '%s.' ${{ needs.a.v }}); printf '<%s>' "${x%.}"`,
		"quoted substitution":      `x="$(printf '%s.' "${{ needs.a.v }}" | cat)"; printf '<%s>' "${x%.}"`,
		"nested quotes":            `x="$(printf '%s.' "$(printf '%s' ${{ needs.a.v }}.)")"; x=${x%.}; printf '<%s>' "${x%.}"`,
		"subshell in substitution": `x=$( (printf '%s.' ${{ needs.a.v }}) ); printf '<%s>' "${x%.}"`,
		"case": "case ${{ needs.a.v }} in\n x\"'\") ;; \n*) printf '<%s>' \"${{ needs.a.v " +
			"}}\" ;;\nesac",
		"after parameters":        `: ${X:-'}'} "${Y:-"}"}" $# ${#X} $((1 + (2) )); printf '<%s>' ${{ needs.a.v }}`,
		"after a document":        "cat <<EOF >/dev/null\n'\"`true`\nEOF\nprintf '<%s>' ${{ needs.a.v }}",
		"after a quoted document": "cat <<'EOF' >/dev/null\n'\"$(\nEOF\nprintf '<%s>' ${{ needs.a.v }}",
		"after two documents":     "cat <<A - <<-\"B\" >/dev/null\n'\nA\n\"\n\tB\nprintf '<%s>' ${{ needs.a.v }}",
		"before a document":       "printf '<%s>' ${{ needs.a.v }} 3<<EOF\n$(true '(')\nEOF\n",
		"condition":               `if [ ${{ needs.a.v }} = "${{ needs.a.v }}" ]; then printf '<%s>' "${{ needs.a.v }}"; fi`,
		"function":                `f() { printf '<%s>' "$1"; }; f ${{ needs.a.v }}`,
		"after backquotes":        "x=`echo \"'\" \\`echo\\``; printf '<%s>' ${{ needs.a.v }}",
		"line goes on":            "printf '<%s>' \\\n  ${{ needs.a.v }}",
		"escaped hash":            `: a#' '\# ' '; printf '<%s>' ${{ needs.a.v }}`,
		"escaped braces":          `: '$${{ x }}'; printf '<%s>' ${{ needs.a.v }}`,
	}
	shells := []string{"sh"}
	if bash, err := exec.LookPath("bash"); err == nil {
		shells = append(shells, bash)
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, shell := range shells {
				for _, v := range hostile {
					if got := runScript(t, shell, script, v); got != "<"+v+">" {
						t.Errorf("%s: printed %q, want %q", shell, got, "<"+v+">")
					}
				}
			}
		})
	}
}

func TestShellHereDocuments(t *testing.T) {
	scripts := map[string]string{
		"plain":             "cat <<EOF\n<${{ needs.a.v }}>\nEOF\n",
		"at its end":        "cat <<EOF\n<${{ needs.a.v }}>\nEOF",
		"with quotes":       "cat <<EOF\n<${{ needs.a.v }}>\nEOF\ncat <<EOF >/dev/null\n'\"${{ needs.a.v }}\nEOF\n",
		"tabs":              "cat <<-EOF\n\t<${{ needs.a.v }}>\n\tEOF\n",
		"after a command":   "cat <<EOF | sed 1d\n$(echo \"a ')\")\n<${{ needs.a.v }}>\nEOF\n",
		"within a command":  "cat <<EOF\n<$(printf '%s.' ${{ needs.a.v }})>\nEOF\n",
		"in a substitution": "x=$(cat <<EOF\n<${{ needs.a.v }}>\nEOF\n)\nprintf '%s\\n' \"$x\"",
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, v := range hostile {
				want := "<" + v + ">\n"
				if name == "within a command" {
					want = "<" + v + ".>\n"
				}
				if got := runScript(t, "sh", script, v); got != want {
					t.Errorf("printed %q, want %q", got, want)
				}
			}
		})
	}
}

func TestShellRefusals(t *testing.T) {
	tests := map[string]string{
		`echo '${{ needs.a.v }}'`:                                 `in single quotes (use double quotes, or give it a name in env: and use "$NAME" there)`,
		`echo "x" 'y ${{ needs.a.v }}'`:                           `in single quotes`,
		"cat <<'EOF'\n${{ needs.a.v }}\nEOF\n":                    `in a here-document whose end is quoted (take the quotes off its <<EOF)`,
		"cat <<\\EOF\n${{ needs.a.v }}\nEOF\n":                    `in a here-document whose end is quoted`,
		"cat <<-\"EOF\"\n${{ needs.a.v }}\n\tEOF\n":               `in a here-document whose end is quoted`,
		"cat <<${{ needs.a.v }}\nx\n":                             `in the word that ends a here-document`,
		"echo `echo ${{ needs.a.v }}`":                            "in backquotes (write $( ) for ` `)",
		"echo \"`echo ${{ needs.a.v }}`\"":                        "in backquotes",
		`echo "${X:-${{ needs.a.v }}}"`:                           `within ${ }`,
		`echo $((${{ needs.a.v }} + 1))`:                          `in $(( )) (calculate in the expression)`,
		`echo \${{ needs.a.v }}`:                                  `after a backslash (write $${{ for a literal ${{)`,
		`echo "\${{ needs.a.v }}"`:                                `after a backslash`,
		`echo $'a\'b' ${{ needs.a.v }}`:                           `after $'`,
		`echo "${X:-it's}" "${{ needs.a.v }}"`:                    `after a ' in "${ }"`,
		`x=$(case $y in a) echo 1;; esac; echo ${{ needs.a.v }})`: `after case in $( )`,
		`x=$((echo a; echo b) | cat); echo ${{ needs.a.v }}`:      `after a $(( that may be a command`,
		"x=$(cat <<EOF)\nEOF\necho ${{ needs.a.v }}":              `ends before its here-document`,
		`echo ${{ needs.b.v }}`:                                   `"b" is not among the task's needs`,
		"echo '\n# ${{ needs.a.v }}":                              `in single quotes`,
	}
	for script, want := range tests {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			err := commandTask(script).Check(catalog(t))
			if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "tasks[1].run: ") {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestShellTextWithoutExpressionsIsUntouched(t *testing.T) {
	for _, script := range []string{`echo 'a' $(( 1 ))`, "cat <<'E'\n${X}\nE\n", `case x in a) ;; esac; $'x`} {
		d := commandTask(script)
		if err := d.Check(catalog(t)); err != nil {
			t.Fatal(err)
		}
		got, err := task(t, d, "b").Resolve(t.Context(), &definition.EvalContext{})
		if err != nil {
			t.Fatal(err)
		}
		var with struct{ Script string }
		if err := json.Unmarshal(got.With, &with); err != nil || with.Script != script {
			t.Errorf("got %q (%v), want %q", with.Script, err, script)
		}
	}
}
