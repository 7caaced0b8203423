package app

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/terminal"
)

// fromCheckout is what the Go command records in a build of a commit with a tag.
func fromCheckout(modified string) *debug.BuildInfo {
	info := &debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs", Value: "git"},
		{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"},
		{Key: "vcs.time", Value: "2026-11-27T15:05:09Z"},
		{Key: "vcs.modified", Value: modified},
	}}
	info.Main.Version = "v0.1.0"
	if modified == "true" {
		info.Main.Version += "+dirty"
	}
	return info
}

// BuildFromCheckout is the answer of `version -o json` in such a build. The program of a test is not one.
func BuildFromCheckout(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	out := terminal.New(&b)
	if err := printJSON(out, describeBuild(fromCheckout("false"))); err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestVersionLine checks what is printed for each way to build the program.
func TestVersionLine(t *testing.T) {
	t.Parallel()
	installed := &debug.BuildInfo{Main: debug.Module{Version: "v0.1.0"}}
	for want, info := range map[string]*debug.BuildInfo{
		"sluice (devel)": {},
		"sluice v0.1.0":  installed,
		"sluice v0.1.0 (commit 0123456789ab of 2026-11-27T15:05:09Z)": fromCheckout(
			"false"),
		"sluice v0.1.0+dirty (commit 0123456789ab of 2026-11-27T15:05:09Z with uncommitted changes)": fromCheckout(
			"true"),
	} {
		want += " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
		if got := describeBuild(info).String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, want := range []string{
		`"version": "v0.1.0"`, `"revision": "0123456789abcdef0123456789abcdef01234567"`,
		`"committed_at": "2026-11-27T15:05:09Z"`, `"modified": false`,
	} {
		if got := BuildFromCheckout(t); !strings.Contains(got, want) {
			t.Errorf("not found: %s in\n%s", want, got)
		}
	}
}

// TestManPages checks that each command that is not hidden has a man page, with its help and without today's date, and
// that a missing directory is an error of usage.
func TestManPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var stderr bytes.Buffer
	man := func(args ...string) int {
		return Main(t.Context(), append([]string{"man-pages"}, args...), strings.NewReader(""), &bytes.Buffer{},
			&stderr)
	}
	if code := man(dir); code != exitDone {
		t.Fatalf("exit code %d\n%s", code, &stderr)
	}
	for name, words := range map[string][]string{
		"sluice.1":              {"Exit codes:", "\n    0  done\n", "\n  124  the time", `\fBsluice-run(1)\fP`},
		"sluice-run.1":          {`\fB--set\fP`, ".SH EXAMPLE", `\fB--database-url\fP`},
		"sluice-tenants-drop.1": {`\fB--yes\fP`},
	} {
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if !strings.Contains(string(page), w) {
				t.Errorf("%s: not found: %q in\n%s", name, w, page)
			}
		}
		if strings.Contains(string(page), "HISTORY") {
			t.Errorf("%s has the date of its making", name)
		}
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(pages) < 30 {
		t.Errorf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		if strings.Contains(page, "bench-helper") || strings.Contains(page, "man-pages") {
			t.Errorf("%s is of a hidden command", page)
		}
	}
	stderr.Reset()
	code := man(filepath.Join(dir, "missing"))
	if code != exitUsage || !strings.Contains(stderr.String(), "missing/sluice") {
		t.Errorf("a missing directory: exit code %d\n%s", code, &stderr)
	}
}
