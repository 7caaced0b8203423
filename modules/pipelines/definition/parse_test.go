package definition_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

var update = flag.Bool("update", false, "write the golden files")

// TestParseGolden parses every file in testdata. The expected definition or mistakes are in a file beside it.
func TestParseGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := outcome(t, filepath.Base(file), src)
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func outcome(t *testing.T, file string, src []byte) string {
	t.Helper()
	d, err := definition.Parse(file, src, catalog(t))
	if err != nil {
		var problems definition.Diagnostics
		if !errors.As(err, &problems) || len(problems) == 0 || d != nil {
			t.Fatalf("the error is %T %v, the definition %v", err, err, d)
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.File != file {
				t.Errorf("no place: %+v", p)
			}
		}
		return err.Error() + "\n"
	}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

func TestParseLimits(t *testing.T) {
	tests := map[string]struct{ src, want string }{
		"size": {strings.Repeat("#\n", 1<<19) +
			"#", `p.yaml:1:1: the file has 1048577 bytes, more than the limit of 1048576`},
		"tasks": {"name: p\ntasks: [" + strings.Repeat("x,", 100_001) +
			"]", `p.yaml:2:8: 100001 tasks are more than the limit of 100000`},
		"run": {"name: p\ntasks: [{id: a, run: " + strings.Repeat("x", 128<<10) +
			"}]", `p.yaml:2:22: run has 131072 bytes, more than the limit of 131071`},
		"expression": {"name: p\ntasks: [{id: a, run: x, if: '" + strings.Repeat("(", 900_000) +
			"'}]", `the expression has 900000 bytes, more than the limit of 16384`},
		"brackets": {"name: p\ntasks: [{id: a, run: x, if: '" + strings.Repeat("(", 16_000) +
			"'}]", `unexpected token`},
		"mistakes": {
			"name: p\ntasks: [" + strings.Repeat("x,", 1500) +
				"]", `p.yaml:2:2007: no more than 1000 mistakes are listed`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := definition.Parse("p.yaml", []byte(test.src), catalog(t))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %.300v, want %q", err, test.want)
			}
		})
	}
}

func TestParseWithoutCatalog(t *testing.T) {
	d, err := definition.Parse("p.yaml", []byte("name: p\ntasks: [{id: a, uses: unheard-of}]"), nil)
	if err != nil || task(t, d, "a").Handler() != "unheard-of" {
		t.Errorf("%v %v", d, err)
	}
}

func TestRetryMerges(t *testing.T) {
	d := parse(t, `
name: p
tasks:
  - {id: inherits, run: "true"}
  - {id: some, run: "true", retry: {delay: 10m}}
  - {id: cap, run: "true", retry: {max_delay: 500ms}}
  - {id: own, run: "true", timeout: 1w, retry: {backoff: fixed, permanent_errors: exit}}
defaults: {retry: {max_attempts: 4, delay: 2s, max_delay: 1m, jitter: 0, permanent_errors: [http]}, timeout: 5m}
`)
	base := tasks.RetryPolicy{
		MaxAttempts: 4, Backoff: tasks.Exponential, Delay: 2 * time.Second, MaxDelay: time.Minute,
		PermanentErrors: []tasks.ErrorKind{tasks.KindHTTP},
	}
	some, limit, own := base, base, base
	some.Delay, some.MaxDelay = 10*time.Minute, 10*time.Minute
	limit.Delay, limit.MaxDelay = 500*time.Millisecond, 500*time.Millisecond
	own.Backoff, own.PermanentErrors = tasks.Fixed, []tasks.ErrorKind{tasks.KindExit}
	for id, want := range map[string]tasks.RetryPolicy{"inherits": base, "some": some, "cap": limit, "own": own} {
		if diff := cmp.Diff(want, task(t, d, id).Retry); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
	if got := task(t, d, "own").Timeout; got != 7*24*time.Hour {
		t.Errorf("timeout %v", got)
	}
	if got := task(t, d, "some").Timeout; got != 5*time.Minute {
		t.Errorf("inherited timeout %v", got)
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	handlers := catalog(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		d, err := definition.Parse("f.yaml", src, handlers)
		if (d == nil) == (err == nil) {
			t.Fatalf("%v %v", d, err)
		}
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without text")
			}
			return
		}
		doc, version, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := definition.Decode(doc)
		if err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		if _, again, err := back.Encode(); err != nil || again != version {
			t.Fatalf("%s: version %s, after decoding %s (%v)", doc, version, again, err)
		}
	})
}

// large returns a pipeline of n tasks in layers of a hundred, each with an expression.
func large(n int) []byte {
	var b strings.Builder
	b.WriteString("name: large\ninput: {day: string}\ntasks:\n")
	for i := range n {
		if i < 100 {
			fmt.Fprintf(&b, "- {id: t%d, run: \"true\"}\n", i)
		} else {
			fmt.Fprintf(&b, "- {id: t%d, needs: [t%d, t%d], run: 'echo ${{ needs.t%d.x }}'}\n", i, i-100, i-99, i-100)
		}
	}
	return []byte(b.String())
}

func BenchmarkParse10000(b *testing.B) {
	src, handlers := large(10_000), catalog(b)
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		if _, err := definition.Parse("p.yaml", src, handlers); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode10000(b *testing.B) {
	doc, _, err := parse(b, string(large(10_000))).Encode()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := definition.Decode(doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	d := parse(b, `
name: p
tasks:
  - {id: fixed, run: "true"}
  - {id: command, needs: fixed, run: "echo ${{ needs.fixed.x }}"}
`)
	for _, id := range []string{"fixed", "command"} {
		b.Run(id, func(b *testing.B) {
			t, v := task(b, d, id), values(`{}`, map[string]string{"fixed": `{"x":"y"}`})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := t.Resolve(b.Context(), v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
