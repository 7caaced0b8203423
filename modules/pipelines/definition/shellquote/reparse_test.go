package shellquote_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/shellquote"
)

// reparsed returns what Reparsed finds in a script, each as a program and a parameter.
func reparsed(script string) []string {
	text, names, _ := rewrite(script)
	var got []string
	shellquote.Reparsed(text, func(name string) bool { return slices.Contains(names, name) },
		func(name, program, hint string) {
			if hint == "" {
				program += " without a hint"
			}
			got = append(got, program+" "+name)
		})
	return got
}

func TestReparsed(t *testing.T) {
	const x = "${{ x }}"
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
			list = []string{want + " VALUE_0"}
		}
		if diff := cmp.Diff(list, reparsed(script)); diff != "" {
			t.Errorf("%s\n%s", script, diff)
		}
	}
	two := reparsed(`sh -c "echo ` + x + ` ${{ y }} $OTHER"; eval ` + x)
	slices.Sort(two)
	if diff := cmp.Diff([]string{"eval VALUE_2", "sh VALUE_0", "sh VALUE_1"}, two); diff != "" {
		t.Error(diff)
	}
}

// TestReparsedIsBounded checks that nesting does not make a script expensive, and that one that cannot be parsed is no
// error.
func TestReparsedIsBounded(t *testing.T) {
	for _, open := range []string{"(", "{ ", "$(", `"$(`, "if ", "[[ (", "! ", "case x in x) "} {
		if got := reparsed(`eval "${{ x }}"; ` + strings.Repeat(open, (15<<10)/len(open))); len(got) > 0 {
			t.Errorf("%q: found %v in a script that cannot be parsed", open, got)
		}
	}
}
