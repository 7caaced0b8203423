package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// label has a value that a terminal may show as another one.
const label = "team=x\u202ertl\u200b"

// hostileText is a task that writes terminal sequences in its output, its error and its logs. They clear the screen,
// fill the clipboard, return to the start of the line, hide text, and change the direction of text.
const hostileText = `name: hostile
input: {note: {type: string, default: "in\u001b[2Jput\u202e\u009b"}}
tasks:
  - id: a
    run: |
      printf '{"k\\u001b[2J": "out\\u202eput"}' > "$SLUICE_OUTPUT"
      printf 'fine \033[2J\033]0;owned\007\033]52;c;ZXZpbA==\007\rover \302\233 \342\200\256rtl \342\200\213\n'
  - id: b
    run: |
      printf 'first\033[2J\nshown\rover \033]0;owned\007 \302\233 \342\200\256rtl\n' >&2
      exit 1
  - id: c
    needs: [b]
    run: echo never
`

// hostileMistakes is a pipeline file with many mistakes in texts with terminal sequences: in names, keys and values.
const hostileMistakes = `name: "bad\e[2J\u202e"
"ke\e[2J\ry": 1
input: {"in\e[2J": {type: "te\u202ext", "x\u009b": 1}}
labels: {"l\e[2J": "v\u202e"}
tasks:
  - {id: "a\e]0;owned\a", run: "true", trigger_rule: "ru\e[2Jle", timeout: "1\e[2J"}
  - {id: b, needs: ["no\e[2J\u202e"], uses: "han\e[2Jdler", with: {"k\r": 1}}
  - {id: c, run: "echo ${{ inp\e[2J\u202eut.x }} ${{ needs.b.\u202e }}", shell: "z\e[2Jsh"}
  - {id: d, uses: http, with: {url: "http://\e[2J\u202e", method: "G\e[2J", "he\e[2J": 1}}
`

// TestHostileData checks that data reaches the terminal only as visible text, whatever the command, and that -o json
// keeps it.
func TestHostileData(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		path := filepath.Join(t.TempDir(), "hostile.yaml")
		if err := os.WriteFile(path, []byte(hostileText), 0o600); err != nil {
			t.Fatal(err)
		}
		second, mistakes, config := hostileFiles(t)
		seen := p.onScreen(t, 1, "run", path, "--label", label)
		id := regexp.MustCompile(`[0-9a-f-]{36}`).FindString(seen)
		const reason = "why\x1b[2J\r\u202e\u009b\nforged"
		serve := p.begin(t, "serve", "--pipelines", filepath.Dir(second))
		dbtest.Eventually(t, "it is registered",
			func() bool { return strings.Contains(serve.stderr.String(), `"msg":"serving"`) })
		serve.signal(os.Interrupt)
		serve.wait(t)
		key := strings.TrimSpace(p.ok(t, "start", path, "--idempotency-key", "key\x1b[2J\u202e"))
		p.ok(t, "pause", key, "--reason", reason)
		p.ok(t, "annotate", key, "--data", `{"note": "\u001b[2J\u202e"}`)
		for _, c := range []struct {
			code int
			line []string
		}{
			{0, []string{"list"}},
			{0, []string{"show", id}},
			{0, []string{"show", id, "--logs"}},
			{0, []string{"show", key}},
			{0, []string{"show", id, "--at", "0s"}},
			{0, []string{"logs", id}},
			{0, []string{"logs", id, "--failed"}},
			{1, []string{"wait", id}},
			{0, []string{"count", "--label", label}},
			{0, []string{"list", "--counts", "--error", "\x1b[2J\u202e"}},
			{0, []string{"pipelines", "list"}},
			{0, []string{"pipelines", "show", "hostile"}},
			{0, []string{"pipelines", "diff", "hostile", p.version(t, id)}},
			{0, []string{"events"}},
			{0, []string{"events", "--follow", "--since", "1h", "--limit", "20"}},
			{0, []string{"diff", id, key}},
			{0, []string{"outbox"}},
			{0, []string{"workers"}},
			{0, []string{"doctor"}},
			{0, []string{"verify"}},
			{0, []string{"export", "--all"}},
			{0, []string{"export", "--all", "-o", "csv"}},
			{0, []string{"show", id, "-o", "json"}},
			{0, []string{"list", "-o", "json"}},
			{0, []string{"start", path, "--idempotency-key", "key\x1b[2J\u202e"}},
			{2, []string{"show", "\x1b[2J\u202e"}},
			{2, []string{"\x1b[2J\rnew"}},
			{2, []string{"validate", "no\x1b[2J\u202e.yaml"}},
			{2, []string{"validate", mistakes}},
			{2, []string{"run", path, "--set", "x\x1b[2J\u202e=1"}},
			{2, []string{"run", path, "--label", "x\x1b[2J\u202e"}},
			{3, []string{"start", "no\x1b[2J\u202e"}},
			{3, []string{"pipelines", "show", "no\x1b[2J\u202e"}},
			{3, []string{"pipelines", "diff", "hostile", "no\x1b[2J\u202e"}},
			{3, []string{"logs", id, "no\x1b[2J\u202e"}},
			{2, []string{"wait", id, "--timeout", "1\x1b[2J\u202e"}},
			{2, []string{"rerun", id, "--set", "x\x1b[2J\u202e=1"}},
			{2, []string{"rerun", id, "--input", "{\"x\x1b[2J\u202e\": 1}"}},
			{3, []string{"retry", id, "--from", "no\x1b[2J\u202e"}},
			{2, []string{"list", "--config", config}},
			{0, []string{"cancel", key, "--reason", reason}},
		} {
			p.onScreen(t, c.code, c.line...)
		}
	})
}

// hostileFiles writes another version of the hostile pipeline, a pipeline with mistakes, and an invalid configuration
// file.
func hostileFiles(t *testing.T) (second, mistakes, config string) {
	t.Helper()
	dir := t.TempDir()
	second, mistakes, config = filepath.Join(t.TempDir(), "second.yaml"), filepath.Join(dir, "mistakes.yaml"),
		filepath.Join(dir, "config.yaml")
	for path, text := range map[string]string{
		second:   strings.Replace(hostileText, "echo never", `"echo \e[2J\u202e"`, 1),
		mistakes: hostileMistakes,
		config:   "\"se\\e[2J\\u202etting\": 1\ndatabase_url: \"sqlite://\\e[2J\"\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return second, mistakes, config
}

// version returns the version of the definition that an execution started with.
func (p program) version(t *testing.T, id string) string {
	t.Helper()
	found := regexp.MustCompile(`"definition_version": "([0-9a-f]+)"`).
		FindStringSubmatch(p.ok(t, "show", id, "-o", "json"))
	if found == nil {
		t.Fatal("the execution has no version")
	}
	return found[1]
}

// ours matches the sequences that the program itself sends: colours, and moves to the start of a line or of a
// picture.
var ours = regexp.MustCompile("\x1b\\[(?:0|2|3[1-6])m|\r\x1b\\[K|\x1b\\[\\d+A\r\x1b\\[J")

// onScreen runs a command on a terminal and returns what it showed. It fails the test for terminal sequences that are
// not ours.
func (p program) onScreen(t *testing.T, code int, args ...string) string {
	t.Helper()
	cmd := p.command(args...)
	x := onTerminal(t, cmd)
	_ = cmd.Wait() // its exit code is compared
	<-x.closed
	seen := x.screen.String()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("%q: exit code %d, want %d\n%q", args, got, code, seen)
	}
	rest := strings.ReplaceAll(ours.ReplaceAllString(seen, ""), "\r\n", "\n")
	for _, r := range rest {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf) || r == unicode.ReplacementChar {
			t.Errorf("%q shows %q:\n%q", args, r, rest)
			break
		}
	}
	return seen
}
