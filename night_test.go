package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

const (
	nightPage = "docs/failed-night.md"
	nightDir  = "/srv/orders" // in the page
)

var updateNight = flag.Bool("update", false,
	"write what the program prints into docs/failed-night.md; shorten it by hand with lines of …")

// night replays a page: it runs the commands after "$ " in its console blocks, each of which must print what the page
// says.
type night struct {
	program
	dir  string            // the directory that the page calls nightDir
	ids  map[string]string // of the page, to those of this run
	page string            // the page as it would be with this run's output
}

var (
	nightBlock = regexp.MustCompile("(?s)```console\n(.*?)```")
	nightID    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

	// These parts differ between runs. They are replaced in this order.
	nightVaries = []struct {
		pattern *regexp.Regexp
		word    string
	}{
		{nightID, "ID"},
		{regexp.MustCompile(`\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})`), "TIME"},
		{regexp.MustCompile(`[\w.-]+-\d+-[0-9a-f]{12}`), "WORKER"},
		{regexp.MustCompile(`\b(\d+(\.\d+)?(µs|ms|s|m))+\b`), "DURATION"},
		{regexp.MustCompile(`\b(after|in|for) DURATION`), "DURATION"},
		{regexp.MustCompile(`cli:\w+`), "ACTOR"},
		{regexp.MustCompile(`\d+ (events|outbox rows)`), "N $1"},
		{regexp.MustCompile(`\s+`), " "},
	}
)

func normal(line string) string {
	for _, v := range nightVaries {
		line = v.pattern.ReplaceAllString(line, v.word)
	}
	return strings.TrimSpace(line)
}

// TestFailedNight replays docs/failed-night.md. A line "…" stands for any number of lines.
func TestFailedNight(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(nightPage)
	if err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, p program) {
		n := &night{program: p, dir: t.TempDir(), ids: map[string]string{}, page: string(page)}
		for name, text := range map[string]string{"eu.csv": "1,10.50\n2,7\n", "asia.csv": "1,3\n2,4.20\n3,twelve\n"} {
			if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(p.path, filepath.Join(n.dir, "sluice")); err != nil {
			t.Fatal(err)
		}
		p.ok(t, "migrate")
		serve := p.begin(t, "serve", "--pipelines", "examples/night")
		dbtest.Eventually(t, "serving", func() bool { return strings.Contains(serve.stderr.String(), "serving") })
		for _, block := range nightBlock.FindAllStringSubmatch(string(page), -1) {
			for _, step := range strings.Split("\n"+block[1], "\n$ ")[1:] {
				n.step(t, step)
			}
		}
		if *updateNight && strings.HasPrefix(p.url, "sqlite:") {
			if err := os.WriteFile(nightPage, []byte(n.page), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func (n *night) step(t *testing.T, step string) {
	t.Helper()
	command, want, _ := strings.Cut(step, "\n")
	line := strings.ReplaceAll(command, nightDir, n.dir)
	for page, ours := range n.ids {
		line = strings.ReplaceAll(line, page, ours)
	}
	have := strings.ReplaceAll(strings.TrimRight(n.shell(t, line), "\n"), n.dir, nightDir)
	wantLines, haveLines := lines(strings.TrimRight(want, "\n")), lines(have)
	pairs, ok := match(wantLines, haveLines)
	if !ok && !*updateNight {
		t.Fatalf("$ %s (-page +program):\n%s\nIt prints:\n%s", command,
			cmp.Diff(mapped(wantLines, normal), mapped(haveLines, normal)), have)
	}
	if !ok {
		n.page = strings.Replace(n.page, "$ "+step, "$ "+command+"\n"+have+"\n", 1)
	}
	for _, p := range pairs {
		ours := nightID.FindAllString(p[1], -1)
		for i, id := range nightID.FindAllString(p[0], -1) {
			n.ids[id] = ours[i]
		}
	}
}

// shell runs a command of the page, in which sluice is the program.
func (n *night) shell(t *testing.T, line string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Env = append(n.command().Env, "PATH="+n.dir+":"+os.Getenv("PATH"))
	cmd.Dir = n.dir
	out, err := cmd.CombinedOutput()
	if err != nil && !strings.HasPrefix(line, "sluice ") {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func mapped(list []string, f func(string) string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = f(s)
	}
	return out
}

// match pairs the lines of the page with those of the program.
func match(want, have []string) (pairs [][2]string, ok bool) {
	switch {
	case len(want) == 0:
		return nil, len(have) == 0
	case want[0] == "…":
		for i := range len(have) + 1 {
			if pairs, ok := match(want[1:], have[i:]); ok {
				return pairs, true
			}
		}
		return nil, false
	case len(have) == 0 || normal(want[0]) != normal(have[0]):
		return nil, false
	}
	pairs, ok = match(want[1:], have[1:])
	return append([][2]string{{want[0], have[0]}}, pairs...), ok
}
