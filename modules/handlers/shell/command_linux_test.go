package shell

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// callWith returns a call with these settings.
func callWith(t *testing.T, in with) *tasks.Attempt {
	t.Helper()
	c := call("")
	doc, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	c.With = doc
	return c
}

func TestShells(t *testing.T) {
	for _, c := range []struct {
		name, shell, script string
		want                string // printed
		failure             string // start of the error of kind exit
	}{
		{"a failing line ends sh", "", "echo a\nfalse\necho b", "a\n", "exit code 1"},
		{
			"so it does by name", "sh", "cd /no/such/directory\necho b", "",
			"exit code 2: sh: 1: cd: can't cd to /no/such/directory",
		},
		{"a condition may fail", "", "if false; then :; fi; false || echo b", "b\n", ""},
		{"bash", "bash", `a=(x y); echo "${a[1]}"`, "y\n", ""},
		{"a failing line ends bash", "bash", "false\necho b", "", "exit code 1"},
		{
			"pipefail", "bash", "cat /no/such | sort\necho b", "",
			"exit code 1: cat: /no/such: No such file or directory",
		},
		{"python", "python", "import sys\nfor i in range(2):\n    print(i)", "0\n1\n", ""},
		{"python fails", "python", "raise KeyError('amount')", "", "exit code 1:\nTraceback"},
		{
			"template", "sh -eu {0}", "echo a\necho $0 | sed 's/.*-//;s,.*/,,'\necho $NOPE", "a\nscript\n",
			"exit code 2: ",
		},
		{"template with the file twice", "echo {0}{0}", "x", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.shell == "python" {
				if _, err := exec.LookPath("python3"); err != nil {
					t.Fatal("python3 is missing: make setup installs it")
				}
			}
			task := callWith(t, with{Script: c.script, Shell: c.shell})
			_, err := handler(t).Run(t.Context(), task)
			switch {
			case c.failure == "" && err != nil:
				t.Error(err)
			case c.failure != "" && (kindOf(err) != tasks.KindExit || !strings.HasPrefix(err.Error(), c.failure)):
				t.Errorf("got %v, want %s", err, c.failure)
			}
			if got := printed(t, task); c.want != "" && got != c.want {
				t.Errorf("printed %q, want %q", got, c.want)
			}
		})
	}
}

func TestUnknownShell(t *testing.T) {
	_, err := handler(t).Run(t.Context(), callWith(t, with{Script: "true", Shell: "fish"}))
	if kindOf(err) != tasks.KindPermanent || !strings.Contains(err.Error(), `unknown shell "fish"`) {
		t.Errorf("got %v", err)
	}
	_, err = handler(t).Run(t.Context(), callWith(t, with{Script: "true", Shell: "no-such-program {0}"}))
	if kindOf(err) != tasks.KindPermanent || !strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("got %v", err)
	}
}

func TestWorkingDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := callWith(t, with{Script: "pwd; echo $PWD; ls", WorkingDirectory: dir})
	if _, err := handler(t).Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dir+"\n"+dir+"\nfile\n", printed(t, c)); diff != "" {
		t.Error(diff)
	}
	for path, problem := range map[string]string{
		filepath.Join(dir, "none"): "no such file or directory",
		filepath.Join(dir, "file"): "is not a directory",
	} {
		_, err := handler(t).Run(t.Context(), callWith(t, with{Script: "true", WorkingDirectory: path}))
		if err == nil || !strings.HasPrefix(err.Error(), "working_directory: ") ||
			!strings.Contains(err.Error(), problem) || kindOf(err) != "" {
			t.Errorf("got %v, want %s", err, problem)
		}
	}
}

func TestEnvFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	base := write("base.env", "\ufeff# comment\n\nPLAIN=a b # rest\r\nexport HASH=a#b\nSINGLE='a $x \\n' # rest\n"+
		`DOUBLE="a\n\"b\" \$x \z"`+
		"\nEMPTY=\nNONE= # nothing\nOVER=base\nTASK=file\nSLUICE_DATABASE_URL=sqlite://own.db\nSLUICE_ATTEMPT=9")
	over := write("over.env", "OVER = second")
	c := callWith(t, with{
		Script: `for n in PLAIN HASH SINGLE DOUBLE EMPTY NONE OVER TASK SLUICE_DATABASE_URL SLUICE_ATTEMPT; do eval ` +
			`"printf '%s=%s|' $n \"\$$n\""; done`,
		EnvFile: []string{base, over},
	})
	c.Env = map[string]string{"TASK": "task"}
	if _, err := handler(t).Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want := "PLAIN=a b|HASH=a#b|SINGLE=a $x \\n|DOUBLE=a\n\"b\" $x " +
		"\\z|EMPTY=|NONE=|OVER=second|TASK=task|SLUICE_DATABASE_URL=sqlite://own.db|SLUICE_ATTEMPT=1|"
	if diff := cmp.Diff(want, printed(t, c)); diff != "" {
		t.Error(diff)
	}
	for text, problem := range map[string]string{
		"A=1\nsecret":                     "bad.env:2: expected NAME=value",
		"1A=secret":                       "bad.env:1: expected a variable's name before the first =",
		"A='secret":                       "bad.env:1: A: the quote is not closed on its line",
		`A="secret" x`:                    "bad.env:1: A: characters follow the closing quote",
		"A=secret\x00":                    "bad.env:1: A: the value of A holds a NUL byte",
		strings.Repeat("#", maxEnvFile+1): "at most 1048576 are read",
	} {
		bad := write("bad.env", text)
		_, err := handler(t).Run(t.Context(), callWith(t, with{Script: "true", EnvFile: []string{bad}}))
		if err == nil || !strings.HasPrefix(err.Error(), "env_file: ") || !strings.Contains(err.Error(), problem) ||
			strings.Contains(err.Error(), "secret") {
			t.Errorf("%.20q: got %v, want %s", text, err, problem)
		}
	}
	for _, path := range []string{filepath.Join(dir, "none"), dir} {
		_, err := handler(t).Run(t.Context(), callWith(t, with{Script: "true", EnvFile: []string{path}}))
		if err == nil || !strings.HasPrefix(err.Error(), "env_file: ") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestEnvironmentPolicy(t *testing.T) {
	variables := []string{
		"PATH=p", "HOME=h", "USER=u", "LANG=l", "LC_ALL=c", "LC_TIME=t", "TZ=z", "TMPDIR=/t", "http_proxy=1",
		"HTTPS_PROXY=2", "NO_PROXY=3",
		"SLUICE_DATABASE_URL=postgres://u:secret@h/d", "SLUICE_LIMIT=3", "PGPASSWORD=secret", "PGPASSFILE=f",
		"PGHOST=h", "AWS_KEY=secret", "=odd",
	}
	declared := slices.Clone(variables[:11])
	for _, c := range []struct {
		name string
		e    Environment
		want []string
	}{
		{"declared", Environment{}, declared},
		{
			"named",
			Environment{Pass: []string{"AWS_*", "PGPASSWORD", "SLUICE_*", "S*"}},
			append(slices.Clone(declared), "PGPASSWORD=secret", "AWS_KEY=secret"),
		},
		{"all", Environment{All: true}, append(slices.Clone(declared), "PGHOST=h", "AWS_KEY=secret", "=odd")},
		{
			"all and named",
			Environment{All: true, Pass: []string{"PGPASSFILE"}},
			append(slices.Clone(declared), "PGPASSFILE=f", "PGHOST=h", "AWS_KEY=secret", "=odd"),
		},
	} {
		if diff := cmp.Diff(c.want, c.e.of(variables)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	for pattern, good := range map[string]bool{
		"A": true, "A_*": true, "*": true, "": false, "A=b": false, "A*b": false,
		"SLUICE_X": false, "SLUICE_*": false,
	} {
		if err := CheckPass(pattern); (err == nil) != good {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

// TestStoppedGroupEnds checks that a stopped process is ended too. It handles the signal only when it continues.
func TestStoppedGroupEnds(t *testing.T) {
	ctx, cancel := withCancel(t)
	r := run(t, ctx, patience, `trap 'echo cleaned; exit 0' TERM; echo $$; kill -STOP $$; while :; do :; done`)
	pid := r.pid(t)
	stopped(t, pid)
	cancel()
	rest, err := r.end(t)
	if strings.Join(rest, " ") != "cleaned" || err == nil {
		t.Errorf("printed %q, ended with %v", rest, err)
	}
}

// TestNoTerminal checks that a command has no controlling terminal, even if this process has one.
func TestNoTerminal(t *testing.T) {
	c := call(`ps -o sid= -p $$ | tr -d ' '; echo $$; : < /dev/tty`)
	_, err := handler(t).Run(t.Context(), c)
	if kindOf(err) != tasks.KindExit || !strings.Contains(err.Error(), "/dev/tty") {
		t.Errorf("got %v", err)
	}
	if ids := strings.Fields(printed(t, c)); len(ids) != 2 || ids[0] != ids[1] {
		t.Errorf("session and process: %q", ids)
	}
	if errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
