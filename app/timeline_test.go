package app

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

func second(s float64) dbtype.Time {
	return dbtype.NewTime(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC).Add(time.Duration(s * float64(time.Second))))
}

// row makes a row of successive segments: "running 2 Failed" is two seconds.
func row(name string, status tasks.Status, segments ...string) history.TaskTimeline {
	r := history.TaskTimeline{TaskName: name, Status: status}
	from := 0.0
	for _, text := range segments {
		var s history.Segment
		var long float64
		words := strings.Fields(text)
		if _, err := fmt.Sscan(words[1], &long); err != nil {
			panic(err)
		}
		s.Kind, s.From, s.To = history.Kind(words[0]), second(from), second(from+long)
		if len(words) > 2 {
			s.Result = dbtype.Text(words[2])
		}
		r.Segments = append(r.Segments, s)
		from += long
	}
	return r
}

func story20() *history.Timeline {
	t := &history.Timeline{
		From: second(0), To: second(20),
		Rows: []history.TaskTimeline{
			row("fetch", tasks.Completed, "queued 2", "running 3 Failed", "backing_off 2", "queued 0.5",
				"running 2.5 Completed"),
			row("a-name-that-is-longer-than-thirty", tasks.Completed, "waiting 10", "queued 0.01",
				"running 0.01 Completed"),
			row("load", tasks.Completed, "waiting 10", "queued 1", "running 1 Deferred", "deferred 3", "paused 2",
				"queued 1", "running 2 Completed"),
			row("never", tasks.Skipped, "waiting 20"),
			row("lost", tasks.Failed, "queued 0.1", "running 1.9 Lost", "queued 1", "running 0.001 Failed",
				"ended 9.999", "queued 1", "running 2 Failed"),
		},
		Critical: []history.CriticalStep{
			{TaskName: "fetch", From: second(0), To: second(10)},
			{TaskName: "load", From: second(10), To: second(20)},
			{TaskName: "never", From: second(20), To: second(20)},
		},
	}
	t.Spent = []history.TimeByKind{
		{Kind: history.Queued, CriticalPath: 4500 * time.Millisecond, AllTasks: 6610 * time.Millisecond},
		{Kind: history.BackingOff, CriticalPath: 2 * time.Second, AllTasks: 2 * time.Second},
	}
	return t
}

// TestTimelineDrawing compares drawings of fixed histories literally.
func TestTimelineDrawing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		look timelineStyle
		want string
	}{
		"ascii":     {timelineStyle{width: 80}, goldenASCII},
		"unicode":   {timelineStyle{width: 60, unicode: true}, goldenUnicode},
		"in colour": {timelineStyle{width: 60, paint: true}, goldenColour},
	} {
		got := c.look.timeline(story20(), timelineSummary, true)
		if name == "in colour" {
			var out bytes.Buffer
			fmt.Fprint(terminal.New(&out), strings.Split(got, "\n")[1])
			got = out.String()
		}
		if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", name, diff, got)
		}
	}
}

// TestTimelineOfMany checks that the most relevant rows are drawn, and that the number of omitted rows is printed.
func TestTimelineOfMany(t *testing.T) {
	t.Parallel()
	line := &history.Timeline{From: second(0), To: second(1000)}
	for i := range 10_000 {
		line.Rows = append(line.Rows,
			row(fmt.Sprintf("t%d", i), tasks.Completed, fmt.Sprintf("running %d Completed", i%100)))
	}
	line.Rows[17].Status = tasks.Failed
	line.Critical = []history.CriticalStep{{TaskName: "t4000", From: second(0), To: second(1000)}}
	l := timelineStyle{width: 100}
	got := l.timeline(line, timelineSummary, false)
	for _, want := range []string{
		"\nt17 ", "\nt4000    * ", "\nt99 ",
		"9970 tasks more, which tell less: --timeline all", "critical path so far: t4000 16m40s",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not found: %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n"); n > 40 || strings.Contains(got, "\nt98 ") {
		t.Errorf("%d lines:\n%s", n, got)
	}
	if all := l.timeline(line, timelineAll, true); strings.Count(all, "\nt") < 10_000 || strings.Contains(all, "more") {
		t.Errorf("not all: %d lines", strings.Count(all, "\n"))
	}
	for line := range strings.Lines(got) {
		if len(strings.TrimRight(line, "\n")) > 100 {
			t.Errorf("too wide: %q", line)
		}
	}
}

// TestAxis checks for round times at their places, whatever the duration.
func TestAxis(t *testing.T) {
	t.Parallel()
	for whole, want := range map[time.Duration]string{
		0:                                      "|0",
		3 * time.Millisecond:                   "|1ms",
		time.Minute:                            "|15s",
		30 * time.Hour:                         "|6h00m",
		1000 * 24 * time.Hour:                  "|256d0h",
		90*time.Second + 7*time.Millisecond:    "|30s",
		2*time.Hour + 59*time.Minute:           "|1h00m",
		400*time.Millisecond + time.Nanosecond: "|100ms",
	} {
		got := axis(whole, 60, timeWidth)
		if !strings.Contains(got, want) || !strings.HasPrefix(got, " |0") || len(got) != 1+60+1+timeWidth-1 ||
			strings.Count(got, "|") > 7 {
			t.Errorf("axis of %s: %q (%d), expected %q in it", whole, got, len(got), want)
		}
	}
}

// TestLocale checks for UTF-8 if the locale says so, with the C library's order of variables.
func TestLocale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"LANG": "C"}, false},
		{map[string]string{"LANG": "de_DE.utf8"}, true},
		{map[string]string{"LANG": "en_US.UTF-8", "LC_ALL": "C"}, false},
		{map[string]string{"LANG": "C", "LC_CTYPE": "C.UTF-8"}, true},
	} {
		if got := writesUTF8(func(key string) string { return c.env[key] }); got != c.want {
			t.Errorf("%v: %v", c.env, got)
		}
	}
}

const goldenASCII = `
timeline                       |0                  |10s                    20.0s
fetch                        * ::::######x~~~:######                       10.0s
a-name-that-is-longer-than-~   ....................#                        20ms
load                         * .....................::##------====::####   10.0s
never                          .........................................     0ms
lost                           ####x:x                    ::###x            6.0s
. waiting  : queued  # running  ~ backing off  - deferred  = paused
x attempt that failed  * critical path
* critical path: fetch 10.0s > load 10.0s

WHERE THE TIME WENT  CRITICAL PATH       ALL TASKS
queued               4.5s           23%  6.6s       77%
backing off          2.0s           10%  2.0s       23%
together             20.0s               8.6s
`

const goldenUnicode = `
timeline                       |0             |15s     20.0s
fetch                        * ░░███×≈░███             10.0s
a-name-that-is-longer-than-~   ··········█              20ms
load                         * ···········░█┄┄┄‖‖░██   10.0s
never                          ·····················     0ms
lost                           ██××          ░█×        6.0s
· waiting  ░ queued  █ running  ≈ backing off  ┄ deferred
‖ paused  × attempt that failed  * critical path
* critical path: fetch 10.0s → load 10.0s

WHERE THE TIME WENT  CRITICAL PATH       ALL TASKS
queued               4.5s           23%  6.6s       77%
backing off          2.0s           10%  2.0s       23%
together             20.0s               8.6s
`

const goldenColour = "fetch                        * " +
	"\x1b[33m::\x1b[0m\x1b[32m###\x1b[0m\x1b[31mx\x1b[0m\x1b[35m~\x1b[0m\x1b[33m:\x1b[0m\x1b[32m###\x1b[0m         " +
	"    10.0s"
