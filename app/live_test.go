package app

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// sample returns an execution with a task in each relevant state.
func sample(t *testing.T) (*definition.Definition, runView) {
	t.Helper()
	def := &definition.Definition{Name: "nightly", Tasks: []definition.Task{
		{ID: "fetch", Run: "true"},
		{ID: "count", Run: "true"},
		{ID: "again", Run: "true"},
		{ID: "broken", Run: "true"},
		{ID: "join", Run: "true", Needs: []string{"fetch", "count", "again"}},
	}}
	if err := def.Check(nil); err != nil {
		t.Fatal(err)
	}
	start := dbtype.NewTime(time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC))
	now := dbtype.NewTime(start.Add(90 * time.Second))
	list := []tasks.Task{
		{
			TaskName: "fetch", Status: tasks.Completed, Attempt: 1, MaxAttempts: 1, StartedAt: start,
			CompletedAt: dbtype.NewTime(start.Add(1200 * time.Millisecond)),
		},
		{
			TaskName: "count", Status: tasks.Running, Attempt: 2, MaxAttempts: 3,
			StartedAt: dbtype.NewTime(now.Add(-5 * time.Second)),
		},
		{
			TaskName: "again", Status: tasks.Ready, Attempt: 1, MaxAttempts: 3,
			RetryAt: dbtype.NewTime(now.Add(12 * time.Second)), Error: "exit code 1",
		},
		{
			TaskName: "broken", Status: tasks.Failed, Attempt: 1, MaxAttempts: 1, StartedAt: start, CompletedAt: now,
			Error: "no\nluck",
		},
		{TaskName: "join", Status: tasks.NotStarted},
	}
	return def, runView{execution: pipelines.Execution{
		PipelineName: "nightly", Status: pipelines.Running,
		CreatedAt: start,
	}, tasks: list, now: now.Time}
}

func TestLivePicture(t *testing.T) {
	t.Parallel()
	def, v := sample(t)
	l := &live{def: def}
	want := `nightly  Running  2 of 5 tasks done  1m30s
TASK    STATUS      ATTEMPT  TIME
fetch   Completed   1/1      1.2s
count   Running     2/3      5.0s
again   Ready       1/3             again in 12.0s: exit code 1
broken  Failed      1/1      1m30s  luck
join    NotStarted                  waits for count, again
`
	if diff := cmp.Diff(want, l.draw(v, 100, 24)); diff != "" {
		t.Error(diff)
	}
}

// TestLiveFits checks that no line is wider than the terminal, that there are fewer lines than it has, and that the
// most important tasks stay.
func TestLiveFits(t *testing.T) {
	t.Parallel()
	def, v := sample(t)
	for _, size := range [][2]int{{40, 7}, {60, 6}, {20, 5}} {
		text := (&live{def: def}).draw(v, size[0], size[1])
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) >= size[1] {
			t.Errorf("%v: %d lines:\n%s", size, len(lines), text)
		}
		for _, line := range lines {
			if n := len([]rune(line)); n > size[0] {
				t.Errorf("%v: a line of %d characters: %s", size, n, line)
			}
		}
		if !strings.Contains(text, "count") || !strings.Contains(text, "more task") {
			t.Errorf("%v:\n%s", size, text)
		}
	}
}

// TestLiveRedraws checks that each picture replaces the one before.
func TestLiveRedraws(t *testing.T) {
	t.Parallel()
	def, v := sample(t)
	var out bytes.Buffer
	l := &live{out: terminal.New(&out), size: func() (int, int) { return 80, 24 }, paint: true, def: def}
	for range 2 {
		if err := l.show(v); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(regexp.MustCompile("\x1b\\[7A\r\x1b\\[J").FindAllString(out.String(), -1)); n != 1 {
		t.Errorf("%d returns to the top in %q", n, out.String())
	}
	if !strings.Contains(out.String(), "\x1b[31mFailed\x1b[0m") {
		t.Errorf("no colour: %q", out.String())
	}
}
