package shellquote_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/shellquote"
)

// hostile are values that do harm or are split wherever a shell reads them as anything but data.
var hostile = []string{
	`"; touch pwned #`, `$(touch pwned)`, "`touch pwned`", `'; touch pwned; '`, `" && touch pwned && "`, `${HOME}`, `\`,
	`\\"`, `*`, `a  b`,
	"line one\nline two\n", "EOF\ntouch pwned\n", `~`, `!!`, `| touch pwned`, `> pwned`, `x"y'z`, "", " ", "-n", "%s%n",
	"ü…\t", `$((1+1))`, `}`, `)`,
}

var expression = regexp.MustCompile(`\$\{\{.*?\}\}`)

// rewrite replaces each ${{ }} in a script by a parameter, and returns the names of the parameters.
func rewrite(script string) (text string, names []string, refusal *shellquote.Refusal) {
	r := shellquote.NewReader()
	at := 0
	for _, place := range expression.FindAllStringIndex(script, -1) {
		r.Read(script[at:place[0]], false)
		text += script[at:place[0]]
		position, wrong := r.Expression()
		switch {
		case wrong != nil && refusal == nil:
			refusal = wrong
		case position == shellquote.InComment:
			text += "comment"
		default:
			names = append(names, "VALUE_"+strconv.Itoa(len(names)))
			text += position.Parameter(names[len(names)-1])
		}
		at = place[1]
	}
	r.Read(script[at:], true)
	return text + script[at:], names, refusal
}

// runScript runs a script with a value for each ${{ }}, and returns what it prints.
func runScript(t *testing.T, shell, script, value string) string {
	t.Helper()
	text, names, refusal := rewrite(script)
	if refusal != nil {
		t.Fatalf("%s: %+v", script, refusal)
	}
	dir := t.TempDir()
	cmd := exec.Command(shell, "-c", text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME=/nowhere")
	for _, name := range names {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	printed, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v: %s", text, err, printed)
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		t.Errorf("the value %q was run by %s", value, text)
	}
	return string(printed)
}

func TestValuesAreData(t *testing.T) {
	scripts := map[string]string{ // each prints the whole value between < and >
		"unquoted":             `printf '<%s>' ${{ needs.a.v }}`,
		"in a word":            `printf '%s' "<"${{ needs.a.v }}\>`,
		"double quotes":        `printf '%s' "<${{ needs.a.v }}>"`,
		"after an apostrophe":  "# don't\nprintf '<%s>' ${{ needs.a.v }} # it's ${{ needs.a.v }}",
		"after escaped quotes": `printf '<%s%s>' "\"" ${{ needs.a.v }} | sed '1s/<"/</'`,
		"assignment":           "x=${{ needs.a.v }}\n" + `printf '<%s>' "$x"`,
		"substitution":         `x=$(printf '%s.' ${{ needs.a.v }}); printf '<%s>' "${x%.}"`,
		"quoted substitution":  `x="$(printf '%s.' "${{ needs.a.v }}" | cat)"; printf '<%s>' "${x%.}"`,
		"nested quotes": `x="$(printf '%s.' "$(printf '%s' ${{ needs.a.v }}.)")"; ` +
			`x=${x%.}; printf '<%s>' "${x%.}"`,
		"subshell in substitution": `x=$( (printf '%s.' ${{ needs.a.v }}) ); printf '<%s>' "${x%.}"`,
		"case": "case ${{ needs.a.v }} in\n x\"'\") ;; \n*) printf '<%s>' \"${{ needs.a.v " +
			"}}\" ;;\nesac",
		"after parameters":        `: ${X:-'}'} "${Y:-"}"}" $# ${#X} $((1 + (2) )); printf '<%s>' ${{ needs.a.v }}`,
		"after a document":        "cat <<EOF >/dev/null\n'\"`true`\nEOF\nprintf '<%s>' ${{ needs.a.v }}",
		"after a quoted document": "cat <<'EOF' >/dev/null\n'\"$(\nEOF\nprintf '<%s>' ${{ needs.a.v }}",
		"after two documents":     "cat <<A - <<-\"B\" >/dev/null\n'\nA\n\"\n\tB\nprintf '<%s>' ${{ needs.a.v }}",
		"before a document":       "printf '<%s>' ${{ needs.a.v }} 3<<EOF\n$(true '(')\nEOF\n",
		"condition": `if [ ${{ needs.a.v }} = "${{ needs.a.v }}" ]; then ` +
			`printf '<%s>' "${{ needs.a.v }}"; fi`,
		"function":         `f() { printf '<%s>' "$1"; }; f ${{ needs.a.v }}`,
		"after backquotes": "x=`echo \"'\" \\`echo\\``; printf '<%s>' ${{ needs.a.v }}",
		"line goes on":     "printf '<%s>' \\\n  ${{ needs.a.v }}",
		"escaped hash":     `: a#' '\# ' '; printf '<%s>' ${{ needs.a.v }}`,
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

func TestHereDocuments(t *testing.T) {
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

func TestRefusals(t *testing.T) {
	tests := map[string]string{
		`echo '${{ needs.a.v }}'`: `in single quotes ` +
			`(use double quotes, or give it a name in env: and use "$NAME" there)`,
		`echo "x" 'y ${{ needs.a.v }}'`: `in single quotes`,
		"cat <<'EOF'\n${{ needs.a.v }}\nEOF\n": `in a here-document whose end is quoted ` +
			`(take the quotes off its <<EOF)`,
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
		"echo '\n# ${{ needs.a.v }}":                              `in single quotes`,
	}
	for script, want := range tests {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			_, _, refusal := rewrite(script)
			if refusal == nil {
				t.Fatalf("%s is not refused", script)
			}
			if got := refusal.Message + " (" + refusal.Hint + ")"; !strings.Contains(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
