package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

func said(o *output) (list []string) {
	for _, l := range o.take() {
		list = append(list, l.String())
	}
	return list
}

// TestOutputLines checks that streams are cut into lines, however they are written.
func TestOutputLines(t *testing.T) {
	t.Parallel()
	o := newOutput()
	w, other := o.open(tasks.Task{TaskName: "a", Attempt: 1}, tasks.Stdout),
		o.open(tasks.Task{TaskName: "b", Attempt: 3}, tasks.Stderr)
	for _, s := range []string{"one\ntw", "", "o\n", "\nthr", "ee"} {
		_, _ = w.Write([]byte(s))
	}
	_, _ = other.Write([]byte("\xff\x00other\n"))
	if diff := cmp.Diff([]string{"a | one", "a | two", "a | ", "b#3 | ?other"}, said(o)); diff != "" {
		t.Error(diff)
	}
	_ = w.Close()
	_ = other.Close()
	if diff := cmp.Diff([]string{"a | three"}, said(o)); diff != "" {
		t.Error(diff)
	}
}

// TestOutputIsBounded checks that a task that writes more than a display keeps is not blocked, and that omissions are
// reported.
func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	o := newOutput()
	w := o.open(tasks.Task{TaskName: "a", Attempt: 1}, tasks.Stdout)
	line := strings.Repeat("x", 1<<10) + "\n"
	for range 2 << 10 {
		_, _ = w.Write([]byte(line))
	}
	_, _ = w.Write([]byte(strings.Repeat("y", maxLineBytes+1))) // not a complete line
	list := said(o)
	if n := len(list); n != 1<<10+1 || list[n-1] != "… | 1025 lines left out here, `sluice logs` shows them" {
		t.Errorf("%d lines, the last %q", n, list[n-1])
	}
	_, _ = w.Write([]byte("\n"))
	if diff := cmp.Diff([]string{"a | y"}, said(o)); diff != "" {
		t.Error(diff)
	}
}

// TestLiveShowsLastLines checks that the last lines are shown under the progress, cut to the screen, without moving
// anything.
func TestLiveShowsLastLines(t *testing.T) {
	t.Parallel()
	def := &definition.Definition{Name: "p"}
	l := &live{def: def, size: func() (int, int) { return 40, 20 }, out: terminal.New(&strings.Builder{})}
	v := runView{
		execution: pipelines.Execution{PipelineName: "p"},
		tasks:     []tasks.Task{{ID: dbtype.NewID(), TaskName: "a", Status: tasks.Running}},
	}
	for range 30 {
		v.output = append(v.output, outputLine{name: "a", text: "\x1b[2Jline\r" + strings.Repeat("z", 100)})
	}
	v.output = append(v.output, outputLine{name: "a", text: "last"})
	if err := l.show(v); err != nil {
		t.Fatal(err)
	}
	picture := l.draw(v, 40, 20)
	lines := strings.Split(strings.TrimSuffix(picture, "\n"), "\n")
	if n := len(lines); n > 19 || lines[n-1] != "a | last" || !strings.HasPrefix(lines[n-2], `a | \x1b[2Jline\rzz`) {
		t.Errorf("\n%s", picture)
	}
	if strings.Contains(picture, "\x1b[2J") || strings.Contains(picture, "\r") {
		t.Errorf("control characters: %q", picture)
	}
	for _, s := range lines {
		if len([]rune(s)) > 39 {
			t.Errorf("%d columns: %q", len([]rune(s)), s)
		}
	}
}
