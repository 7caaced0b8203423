package shell

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/tasks"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name  string
		with  map[string]any
		field string
	}{
		{"script", map[string]any{"script": "true"}, ""},
		{"nothing", nil, "script"},
		{"empty", map[string]any{"script": ""}, "script"},
		{"blank", map[string]any{"script": " \n\t"}, "script"},
		{"number", map[string]any{"script": 1}, "script"},
		{"unknown key", map[string]any{"script": "true", "shel": "bash"}, "shel"},
	} {
		err := handler(t).Check(c.with)
		var field *tasks.FieldError
		if c.field == "" && err != nil || c.field != "" && (!errors.As(err, &field) || field.Field != c.field) {
			t.Errorf("%s: got %v, want a mistake in %q", c.name, err, c.field)
		}
	}
}

func TestOutput(t *testing.T) {
	largest := fmt.Sprintf(
		`printf '"' >$SLUICE_OUTPUT; head -c %d /dev/zero | tr '\0' x >>$SLUICE_OUTPUT; printf '"' >>$SLUICE_OUTPUT`,
		tasks.MaxOutput-2)
	for _, c := range []struct {
		name, script string
		want         string // the output
		problem      string // of an error of KindInvalidOutput
	}{
		{"none", `true`, "", ""},
		{"white space", `echo >"$SLUICE_OUTPUT"`, "", ""},
		{"removed", `rm "$SLUICE_OUTPUT"`, "", ""},
		{"null", `echo null >"$SLUICE_OUTPUT"`, "", ""},
		{
			"object", `echo '{"a": [1, 9007199254740993, "<é>"]}' >"$SLUICE_OUTPUT"`,
			`{"a":[1,9007199254740993,"<é>"]}`,
			"",
		},
		{"scalar", `echo 12 >"$SLUICE_OUTPUT"`, "12", ""},
		{"replaced", `echo true >"$SLUICE_OUTPUT.new"; mv "$SLUICE_OUTPUT.new" "$SLUICE_OUTPUT"`, "true", ""},
		{"largest", largest, `"` + strings.Repeat("x", tasks.MaxOutput-2) + `"`, ""},
		{"one byte more", largest + `; echo >>$SLUICE_OUTPUT`, "", "output is 1048577 bytes, at most 1048576 are kept"},
		{"sparse terabyte", `truncate -s 1T "$SLUICE_OUTPUT"`, "", "output is 1099511627776 bytes"},
		{"text", `echo hello >"$SLUICE_OUTPUT"`, "", `it starts with "hello"`},
		{"two values", `echo '{} {}' >"$SLUICE_OUTPUT"`, "", `it starts with "{} {}"`},
		{"cut short", `printf '{"a":' >"$SLUICE_OUTPUT"`, "", `it starts with "{\"a\":"`},
		{"not UTF-8", `printf '"\377"' >"$SLUICE_OUTPUT"`, "", `byte 2 is not valid UTF-8; it starts with "\"?\""`},
		{"NUL", `printf '\000\000x' >"$SLUICE_OUTPUT"`, "", `it starts with "x"`},
		{"too deep", `head -c 500000 /dev/zero | tr '\0' '[' >"$SLUICE_OUTPUT"`, "", "nested deeper than 100"},
		{"link", `ln -sf /etc/hostname "$SLUICE_OUTPUT"`, "", "output file: "},
		{"named pipe", `rm "$SLUICE_OUTPUT"; mkfifo "$SLUICE_OUTPUT"`, "", "no longer a plain file"},
		{"directory", `rm "$SLUICE_OUTPUT"; mkdir "$SLUICE_OUTPUT"`, "", "no longer a plain file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := handler(t).Run(t.Context(), call(c.script))
			if string(got) != c.want {
				t.Errorf("got %.80s, want %.80s", got, c.want)
			}
			switch {
			case c.problem == "" && err != nil:
				t.Error(err)
			case c.problem != "" && (kindOf(err) != tasks.KindInvalidOutput ||
				!strings.Contains(err.Error(), c.problem) || len(err.Error()) > 400):
				t.Errorf("got %v, want an invalid output: %s", err, c.problem)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("FROM_WORKER", "w")
	t.Setenv("OVERRIDDEN", "worker")
	h := handler(t)
	h.Environment = Environment{Pass: []string{"FROM_*", "OVERRIDDEN"}}
	c := call(`printf '%s\n' "$FROM_WORKER" "$OVERRIDDEN" "$FROM_TASK" ` +
		`"$SLUICE_PIPELINE_EXECUTION_ID" "$SLUICE_TASK_EXECUTION_ID" "$SLUICE_ATTEMPT"; pwd`)
	c.Number = 7
	c.Env = map[string]string{"OVERRIDDEN": "task", "FROM_TASK": "a b\n$(echo x)\"'", "SLUICE_ATTEMPT": "forged"}
	if _, err := h.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"w", "task", c.Env["FROM_TASK"], c.PipelineExecutionID.String(), c.TaskExecutionID.String(), "7", dir, "",
	}, "\n")
	if diff := cmp.Diff(want, printed(t, c)); diff != "" {
		t.Error(diff)
	}
}

func TestInputFile(t *testing.T) {
	for _, c := range []struct {
		name, input string
		needs       map[string]json.RawMessage
		want        string
	}{
		{"nothing", "", nil, `{"needs":{}}`},
		{
			"both", `{"day":"2026-01-01","n":9007199254740993,"html":"<&>"}`,
			map[string]json.RawMessage{"fetch": json.RawMessage(`{"lines": 3}`), "skipped": nil},
			`{"day":"2026-01-01","html":"<&>","n":9007199254740993,"needs":{"fetch":{"lines":3},"skipped":null}}`,
		},
		{"input named needs", `{"needs":1}`, nil, `{"needs":{}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			task := call(`cat "$SLUICE_INPUT"`)
			task.Input, task.Needs = json.RawMessage(c.input), c.needs
			if _, err := handler(t).Run(t.Context(), task); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want+"\n", printed(t, task)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAttemptDirectory(t *testing.T) {
	base := t.TempDir()
	t.Setenv("TMPDIR", base)
	c := call(`cd "$(dirname "$SLUICE_OUTPUT")"; stat -c %a . input.json output.json; ` +
		`mkdir -p sub/sub; touch sub/sub/file; exit 1`)
	h := New()
	if _, err := h.Run(t.Context(), c); kindOf(err) != tasks.KindExit {
		t.Fatal(err)
	}
	if diff := cmp.Diff("700\n600\n600\n", printed(t, c)); diff != "" {
		t.Error(diff)
	}
	if left := entries(t, filepath.Join(base, workerPrefix+"*", "*")); len(left) != 1 ||
		filepath.Base(left[0]) != lockName {
		t.Errorf("left behind by the attempt: %v", left)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if left := entries(t, filepath.Join(base, "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFailure(t *testing.T) {
	numbered := func(from, to int) string {
		var b strings.Builder
		for i := from; i <= to; i++ {
			fmt.Fprintf(&b, "\nline %d", i)
		}
		return b.String()
	}
	for _, c := range []struct{ name, script, want string }{
		{"silent", `exit 3`, "exit code 3"},
		{"stderr", `echo out; echo 'no such host' >&2; exit 7`, "exit code 7: no such host"},
		{"stdout", `echo only out; exit 1`, "exit code 1: only out"},
		{"signal", `kill -9 $$`, "killed by signal 9 (killed)"},
		{"no such program", `no-such-program`, "exit code 127: sh: 1: no-such-program: not found"},
		{"many lines", `for i in $(seq 30); do echo "line $i"; done >&2; exit 1`, "exit code 1:" + numbered(11, 30)},
		{"bytes", `printf 'a\000b\377c' >&2; exit 1`, "exit code 1: ab?c"},
		{"long line", `head -c 100000 /dev/zero | tr '\0' x >&2; exit 1`, "exit code 1: " +
			strings.Repeat("x", lastBytes)},
		{
			"long lines", `for i in $(seq 9); do head -c 1000 /dev/zero | tr '\0' $i; echo; done >&2; exit 1`,
			"exit code 1:\n" + strings.Repeat("6", 1000) + "\n" + strings.Repeat("7", 1000) + "\n" +
				strings.Repeat("8", 1000) + "\n" + strings.Repeat("9", 1000),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := handler(t).Run(t.Context(), call(c.script))
			if out != nil || kindOf(err) != tasks.KindExit {
				t.Fatalf("got %s, %v, want an error of kind exit", out, err)
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOutputOfFailedCommandIsDropped(t *testing.T) {
	out, err := handler(t).Run(t.Context(), call(`echo '{"half": true}' >"$SLUICE_OUTPUT"; exit 1`))
	if out != nil || kindOf(err) != tasks.KindExit {
		t.Errorf("got %s, %v", out, err)
	}
}

func TestLargeAndHostileLogs(t *testing.T) {
	const size = 10 << 20
	c := call(fmt.Sprintf(`head -c %d /dev/urandom; head -c %d /dev/zero | tr '\0' x >&2; exit 1`, size, size))
	_, err := handler(t).Run(t.Context(), c)
	if kindOf(err) != tasks.KindExit || len(err.Error()) > lastBytes+100 {
		t.Errorf("got %.200v", err)
	}
	for _, log := range []*logBuffer{c.Stdout.(*logBuffer), c.Stderr.(*logBuffer)} {
		if n := len(log.String()); n != size {
			t.Errorf("wrote %d bytes of %d", n, size)
		}
	}
}

type refusingWriter struct{}

func (refusingWriter) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestLogThatTakesNothing(t *testing.T) {
	c := call(`head -c 1000000 /dev/zero; echo 1 >"$SLUICE_OUTPUT"`)
	c.Stdout, c.Stderr = refusingWriter{}, nil
	if out, err := handler(t).Run(t.Context(), c); string(out) != "1" || err != nil {
		t.Errorf("got %s, %v", out, err)
	}
}

func TestNothingToReadFromStdin(t *testing.T) {
	if _, err := handler(t).Run(t.Context(), call(`test "$(cat | wc -c)" = 0`)); err != nil {
		t.Error(err)
	}
}

func TestPermanent(t *testing.T) {
	for name, prepare := range map[string]func(*tasks.Attempt){
		"NUL in the script": func(c *tasks.Attempt) { c.With = json.RawMessage(`{"script":"echo \u0000"}`) },
		"NUL in a value":    func(c *tasks.Attempt) { c.Env = map[string]string{"A": "b\x00c"} },
		"name with =":       func(c *tasks.Attempt) { c.Env = map[string]string{"A=B": "c"} },
		"name is empty":     func(c *tasks.Attempt) { c.Env = map[string]string{"": "c"} },
		"value too long":    func(c *tasks.Attempt) { c.Env = map[string]string{"A": strings.Repeat("x", 1<<20)} },
		"script too long": func(c *tasks.Attempt) {
			c.With = json.RawMessage(`{"script":"` +
				strings.Repeat("#", 1<<20) + `"}`)
		},
		"input is no object": func(c *tasks.Attempt) { c.Input = json.RawMessage(`[1]`) },
		"output is no JSON": func(
			c *tasks.Attempt,
		) {
			c.Needs = map[string]json.RawMessage{"a": json.RawMessage(`{`)}
		},
		"with is not a script": func(c *tasks.Attempt) { c.With = json.RawMessage(`{"script":1}`) },
	} {
		c := call("true")
		prepare(c)
		if out, err := handler(t).Run(t.Context(), c); out != nil || kindOf(err) != tasks.KindPermanent {
			t.Errorf("%s: got %s, %v, want a permanent error", name, out, err)
		}
	}
}

func TestNoShell(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := handler(t).Run(t.Context(), call("true"))
	var worker *tasks.CannotStartError
	if !errors.As(err, &worker) || !strings.Contains(err.Error(), "find the shell") {
		t.Errorf("got %v, want an error of this worker", err)
	}
	if err := handler(t).SelfTest(t.Context()); !errors.As(err, &worker) {
		t.Errorf("the test of the handler: %v", err)
	}
	c := call("true")
	c.With = []byte(`{"script": "true", "shell": "bash"}`)
	if _, err := handler(t).Run(t.Context(), c); kindOf(err) != tasks.KindPermanent || errors.As(err, &worker) {
		t.Errorf("a shell that the task names: %v", err)
	}
}

func TestEndedBeforeItStarts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := call("echo started")
	if _, err := handler(t).Run(ctx, c); !errors.Is(err, context.Canceled) || printed(t, c) != "" {
		t.Errorf("got %v, printed %q", err, printed(t, c))
	}
}

func TestManyAtOnce(t *testing.T) {
	h := handler(t)
	results := make(chan error)
	for i := range 40 {
		go func() {
			want := fmt.Sprintf(`{"i":%d}`, i)
			out, err := h.Run(t.Context(), call(fmt.Sprintf(`echo '%s' >"$SLUICE_OUTPUT"`, want)))
			if err == nil && !bytes.Equal(out, []byte(want)) {
				err = fmt.Errorf("got %s, want %s", out, want)
			}
			results <- err
		}()
	}
	for range 40 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestModule(t *testing.T) {
	var registry *tasks.Registry
	if err := fx.New(fx.NopLogger, tasks.Module, Module, fx.Populate(&registry)).Err(); err != nil {
		t.Fatal(err)
	}
	if _, ok := registry.Handler("shell"); !ok {
		t.Errorf("registered: %v", registry.Names())
	}
}
