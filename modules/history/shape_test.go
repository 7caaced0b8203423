package history_test

import (
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// checkTimeline checks that a timeline has no gaps and no overlaps: the segments of a task cover the time from its
// creation to its end, the links of the critical path cover the time from the execution's start to its end, and both
// add up.
func checkTimeline(t *testing.T, log *history.Log, state history.State, where string) {
	t.Helper()
	last, _ := log.Last()
	now := dbtype.NewTime(last.Add(time.Minute))
	line, err := log.Fold().Timeline(now)
	if err != nil {
		t.Fatal(err)
	}
	x := state.Execution
	end := x.CompletedAt
	if end.IsZero() {
		end = now
	}
	if !line.From.Equal(x.CreatedAt.Time) || !line.To.Equal(end.Time) || len(line.Rows) != len(state.Tasks) {
		t.Errorf("%s: a timeline from %v to %v of %d tasks; the execution: %+v", where, line.From, line.To,
			len(line.Rows), x)
	}
	var all time.Duration
	for i, row := range line.Rows {
		task := state.Tasks[i]
		from, to, sum := task.CreatedAt, task.CompletedAt, time.Duration(0)
		if to.IsZero() {
			to = end
		}
		runs := 0
		for _, s := range row.Segments {
			if !s.From.Equal(from.Time) || s.To.Before(s.From.Time) {
				t.Errorf("%s: task %s: segment %+v begins at another moment than the one before ends, %v", where,
					row.TaskName, s, from)
			}
			from, sum = s.To, sum+s.Duration()
			if s.Kind == history.Running {
				runs++
			}
		}
		if all += sum; row.TaskName != task.TaskName || row.Status != task.Status || !from.Equal(to.Time) ||
			sum != to.Sub(task.CreatedAt.Time) || runs < task.Attempt {
			t.Errorf("%s: the row %+v lasts %s and ends at %v; the task: %+v", where, row, sum, from, task)
		}
	}
	checkCritical(t, line, all, where)
}

func checkCritical(t *testing.T, line *history.Timeline, all time.Duration, where string) {
	t.Helper()
	from := line.From
	seen := map[string]bool{}
	for _, l := range line.Critical {
		if !l.From.Equal(from.Time) || l.To.Before(l.From.Time) || seen[l.TaskName] {
			t.Errorf("%s: link %+v after %v", where, l, from)
		}
		from, seen[l.TaskName] = l.To, true
	}
	if !from.Equal(line.To.Time) {
		t.Errorf("%s: the critical path ends at %v, the execution at %v: %+v", where, from, line.To, line.Critical)
	}
	var critical, tasks time.Duration
	for _, s := range line.Spent {
		critical, tasks = critical+s.CriticalPath, tasks+s.AllTasks
	}
	if critical != line.To.Sub(line.From.Time) || tasks != all {
		t.Errorf("%s: spent %s on the critical path and %s in all; there were %s and %s\n%+v", where, critical, tasks,
			line.To.Sub(line.From.Time), all, line)
	}
}
