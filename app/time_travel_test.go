package app_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// pastDocument is what show prints about the past.
type pastDocument struct {
	Execution map[string]any   `json:"execution"`
	Tasks     []map[string]any `json:"tasks"`
	Attempts  []map[string]any `json:"attempts"`
	Waiting   []map[string]any `json:"waiting"`
	Timeline  []struct {
		TaskName string `json:"id"`
		Segments []struct {
			Kind    string    `json:"kind"`
			From    time.Time `json:"from"`
			To      time.Time `json:"to"`
			Attempt int       `json:"attempt"`
			Result  *string   `json:"result"`
		} `json:"segments"`
	} `json:"timeline"`
	CriticalPath []struct {
		TaskName string `json:"id"`
	} `json:"critical_path"`
	Spent []struct {
		Kind           string `json:"kind"`
		CriticalPathMS *int64 `json:"critical_path_ms"`
		AllTasksMS     int64  `json:"all_tasks_ms"`
	} `json:"spent"`
	At *struct {
		SequenceNum int64 `json:"sequence_num"`
		Events      int   `json:"events"`
		TotalEvents int   `json:"total_events"`
		Outbox      []struct {
			TaskName    string `json:"id"`
			AvailableAt string `json:"available_at"`
		} `json:"outbox"`
	} `json:"at"`
}

func (d pastDocument) claimable() string {
	var names []string
	for _, row := range d.At.Outbox {
		names = append(names, row.TaskName)
	}
	return strings.Join(names, " ")
}

// TestShowAt checks that show prints a run as it was at each of its events, and after the last one as it is.
func TestShowAt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "run", "../examples/failing.yaml", "-o", "json")
		id := decode[document](t, r.stdout).Execution.ID
		now := decode[pastDocument](t, p.ok(t, "show", id, "-o", "json"))
		list := p.events(t, "--pipeline-execution", id)
		var seen []string
		for i, e := range list {
			then := decode[pastDocument](t, p.ok(t, "show", id, "--at-event", fmt.Sprint(e.SequenceNum), "-o", "json"))
			if then.At == nil || then.At.SequenceNum < e.SequenceNum || then.At.Events < i+1 ||
				then.At.TotalEvents != len(list) {
				t.Errorf("at event %d: %+v", e.SequenceNum, then.At)
			}
			line := fmt.Sprintf("%v open %v, claimable %s", then.Execution["status"], then.Execution["open_tasks"],
				then.claimable())
			if len(seen) == 0 || seen[len(seen)-1] != line {
				seen = append(seen, line)
			}
			byTime := decode[pastDocument](t, p.ok(t, "show", id, "--at", e.CreatedAt, "-o", "json"))
			if diff := cmp.Diff(then, byTime); diff != "" {
				t.Errorf("at event %d and at its time:\n%s", e.SequenceNum, diff)
			}
		}
		want := []string{
			// A task that becomes ready while a slot is free is claimed in the same transaction. A task that waits
			// for its retry can be seen.
			"Running open 4, claimable extract", "Running open 4, claimable ", "Running open 3, claimable ",
			"Running open 3, claimable import", "Running open 3, claimable ", "Running open 1, claimable ",
			"Failed open 0, claimable ",
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Error(diff)
		}
		last := decode[pastDocument](t, p.ok(t, "show", id, "--at", "0s", "-o", "json"))
		last.At = nil
		if diff := cmp.Diff(now, last); diff != "" {
			t.Errorf("now (-rows +history):\n%s", diff)
		}
		contains(t, p.ok(t, "show", id, "--at-event", fmt.Sprint(list[0].SequenceNum)), "failing Queued", "as of",
			fmt.Sprintf("of %d)", len(list)),
			"claimable  extract", "due: waiting for a worker", "waits for extract (Ready)", "next: sluice show "+id)
	})
}

// TestShowAtRefuses checks that show does not guess what cannot be known.
func TestShowAtRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "run", "../examples/failing.yaml", "-o", "json")
		doc := decode[document](t, r.stdout)
		id := doc.Execution.ID
		p.fails(t, 3, []string{"had not been started yet", "it was started at 20"}, "show", id, "--at", "7d")
		p.fails(t, 3, []string{"no such event of this execution: 999999", "`sluice events --pipeline-execution " + id},
			"show", id, "--at-event", "999999")
		p.fails(t, 2, []string{`--at: invalid time "soon"`, "90s"}, "show", id, "--at", "soon")
		p.fails(t, 2, []string{"is in the future", "by the database's clock"}, "show", id, "--at",
			"2999-01-01T00:00:00Z")
		p.fails(t, 2, []string{"give one of them"}, "show", id, "--at", "1s", "--at-event", "1")
		p.fails(t, 2, []string{"expected a whole number from 1"}, "show", id, "--at-event", "0")
		p.fails(t, 3, []string{"no such pipeline execution"}, "show", nobody, "--at", "1s")
		p.ok(t, "cleanup-events", "--older-than", "0")
		p.fails(t, 2, []string{"retention has removed the history of " + id, "shows how it ended"}, "show", id, "--at",
			"1s")
		if shown := decode[pastDocument](t, p.ok(t, "show", id, "-o", "json")); shown.Timeline != nil ||
			shown.Spent != nil {
			t.Errorf("a timeline without a history: %+v", shown.Timeline)
		}
	})
}

// TestShowOfABrokenHistory checks that the rows are shown, and that the past is not.
func TestShowOfABrokenHistory(t *testing.T) {
	t.Parallel()
	for backend, url := range map[string]func(testing.TB) string{
		"sqlite":   dbtest.SQLiteURL,
		"postgres": dbtest.PostgresURL,
	} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			p := &program{url: url(t)}
			p.run(t, "run", "../examples/failing.yaml")
			doc := p.newest(t)
			mustExec(t, dbtest.Open(t, p.url),
				`DELETE FROM {execution_events} WHERE task_execution_id = $task AND event_type = 'task_claimed'`,
				db.Args{"task": id(t, doc.Tasks[0].ID)})
			contains(t, p.ok(t, "show", doc.Execution.ID), "failing Failed", "no timeline: the history is broken",
				"`sluice verify "+doc.Execution.ID)
			p.fails(t, 1, []string{"the history is broken", "`sluice verify` says"}, "show", doc.Execution.ID, "--at",
				"0s")
			contains(t, p.ok(t, "diff", doc.Execution.ID, doc.Execution.ID), "where the time went is not known")
		})
	}
}

// TestShowTimeline checks that each attempt has its segment, and that the sums are those of the segments.
func TestShowTimeline(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "run", "../examples/failing.yaml", "-o", "json")
		id := decode[document](t, r.stdout).Execution.ID
		doc := decode[pastDocument](t, p.ok(t, "show", id, "-o", "json"))
		var kinds []string
		for _, s := range doc.Timeline[1].Segments {
			kinds = append(kinds, fmt.Sprint(s.Kind, " ", s.Attempt))
			if s.Kind == "backing_off" && s.To.Sub(s.From) < 80*time.Millisecond {
				t.Errorf("backing off: %+v", s)
			}
		}
		want := "waiting 1, running 1, backing_off 2, queued 2, running 2"
		if got := strings.Join(kinds, ", "); doc.Timeline[1].TaskName != "import" || got != want {
			t.Errorf("import: %s", got)
		}
		var path []string
		for _, l := range doc.CriticalPath {
			path = append(path, l.TaskName)
		}
		if got := strings.Join(path, " "); got != "extract import publish clean" {
			t.Errorf("critical path: %s", got)
		}
		shown := p.ok(t, "show", id)
		contains(t, shown, "timeline ", "|0", "critical path: extract ", "backing off",
			"WHERE THE TIME WENT  CRITICAL PATH")
		if strings.Contains(shown, "\x1b[") {
			t.Errorf("colour without a terminal:\n%s", shown)
		}
		if none := p.ok(t, "show", id, "--timeline", "none"); strings.Contains(none, "WHERE") ||
			strings.Contains(none, "|0") {
			t.Errorf("a timeline that nobody asked for:\n%s", none)
		}
		p.fails(t, 2, []string{"expected one of summary, all, none"}, "show", id, "--timeline", "everything")
	})
}

// TestDiff checks that diff shows what differs between two runs of a pipeline, and where the time went in each.
func TestDiff(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		run := func(args ...string) string {
			r := p.run(t, append([]string{"run", "-o", "json"}, args...)...)
			return decode[document](t, r.stdout).Execution.ID
		}
		bad, good := run("../examples/failing.yaml"), run("../examples/failing.yaml", "--set", "broken=false")
		shown := p.ok(t, "diff", bad, good)
		contains(t, shown, "first   "+bad+"  failing Failed", "second  "+good+"  failing Completed", "input.broken",
			"true", "false", "import", "attempt",
			"exit code 7: connection refused", "publish", "Skipped", "critical path", "backing off -",
			"WHERE THE TIME WENT")
		doc := decode[struct {
			First, Second struct{ ID string }
			Differences   []struct {
				TaskName      *string `json:"id"`
				Field         string
				First, Second json.RawMessage
			}
			Durations []struct {
				TaskName string `json:"id"`
				DeltaMS  int64  `json:"delta_ms"`
			}
			CriticalPath []struct{ Kind string } `json:"critical_path"`
		}](t, p.ok(t, "diff", bad, good, "-o", "json"))
		var fields []string
		for _, d := range doc.Differences {
			name := "execution"
			if d.TaskName != nil {
				name = *d.TaskName
			}
			fields = append(fields, name+"."+d.Field)
		}
		want := "execution.status execution.error execution.input.broken import.status import.attempt import.error " +
			"publish.status publish.attempt"
		if got := strings.Join(fields, " "); got != want || doc.First.ID != bad || doc.Second.ID != good {
			t.Errorf("differences: %s", got)
		}
		var magnitudes []int64
		names := map[string]bool{}
		for _, d := range doc.Durations {
			magnitudes = append(magnitudes, -max(d.DeltaMS, -d.DeltaMS))
			names[d.TaskName] = true
		}
		if len(names) != 4 || !names["import"] || !slices.IsSorted(magnitudes) || len(doc.CriticalPath) == 0 {
			t.Errorf("durations: %+v", doc.Durations)
		}
		contains(t, p.ok(t, "diff", good, good), "nothing went differently")
		other := p.start(t, "../examples/first.yaml")
		p.fails(t, 2, []string{"is an execution of failing, and " + other + " one of first", "--force"}, "diff", bad,
			other)
		contains(t, p.ok(t, "diff", bad, other, "--force"), "pipeline", "definition_version", "so far")
		p.fails(t, 2, []string{"sluice diff needs the ids of two executions"}, "diff", bad)
		p.fails(t, 3, []string{"no such pipeline execution: " + nobody}, "diff", bad, nobody)
		p.ok(t, "cancel", other)
		p.ok(t, "cleanup-events", "--older-than", "0")
		contains(t, p.ok(t, "diff", bad, good), "import", "where the time went is not known")
	})
}
