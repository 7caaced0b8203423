package audit

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// scenarios returns correct histories with every status and every transition between statuses.
func scenarios() map[string]*sim {
	all := map[string]*sim{}
	// This one is running: a completed in its second attempt, b runs, c waits for b, d is deferred.
	s := startSim(simSpec{name: "a"}, simSpec{name: "b", needs: []string{"a"}},
		simSpec{name: "c", needs: []string{"a", "b"}}, simSpec{name: "d"})
	s.claim("a", "w1")
	s.retry("a", "exit 1")
	s.claim("a", "w2")
	s.complete("a")
	s.claim("b", "w1")
	s.claim("d", "w2")
	s.deferTask("d")
	s.annotate(s.task("b"))
	s.annotate(nil)
	all["under way"] = s

	s = startSim(simSpec{name: "a"})
	s.claim("a", "w1")
	s.complete("a")
	all["completed"] = s

	// This one has a failure after which the pipeline continues, one after which it does not, and a skip.
	s = startSim(simSpec{name: "a", continues: true}, simSpec{name: "rescue", needs: []string{"a"}, rule: "one_failed"},
		simSpec{name: "after", needs: []string{"a"}})
	s.claim("a", "w1")
	s.fail("a", "boom")
	s.claim("rescue", "w1")
	s.complete("rescue")
	all["continued"] = s

	s = startSim(simSpec{name: "a"}, simSpec{name: "after", needs: []string{"a"}},
		simSpec{name: "clean", needs: []string{"after"}, rule: "all_done"})
	s.claim("a", "w1")
	s.fail("a", "boom")
	s.claim("clean", "w1")
	s.complete("clean")
	all["failed"] = s

	// This one failed and was retried, with a task whose failure would not have counted.
	s = startSim(simSpec{name: "a"}, simSpec{name: "b", needs: []string{"a"}, continues: true})
	s.claim("a", "w1")
	s.fail("a", "boom")
	s.restart()
	all["retried"] = s

	s = startSim(simSpec{name: "a"}, simSpec{name: "b"}, simSpec{name: "c", needs: []string{"b"}})
	s.claim("a", "w1")
	s.pause()
	s.complete("a")
	all["paused"] = s

	// This one has tasks that were lost, released, deferred and resumed, cancelled, restarted and abandoned.
	s = startSim(simSpec{name: "a"}, simSpec{name: "b"}, simSpec{name: "c", needs: []string{"b"}})
	s.claim("a", "w1")
	s.recover("a")
	s.claim("a", "w2")
	s.release("a")
	s.claim("a", "w3")
	s.deferTask("a")
	s.claim("a", "w1")
	s.pause()
	s.resume()
	s.cancel()
	s.restart()
	s.claim("a", "w1")
	s.complete("a")
	s.abandon("b")
	all["restarted"] = s
	return all
}

func TestCorrectHistoriesAreClean(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		want := Report{Breaches: []Violation{}}
		for _, s := range scenarios() {
			save(t, d, s)
			want.Executions++
			want.Tasks += len(s.tasks)
			want.Events += len(s.events)
			for _, x := range s.tasks {
				if s.status == "Running" && x.status == tasks.Ready {
					want.OutboxRows++
				}
			}
		}
		want.Total = want.Executions
		want.scope(Options{})
		var last Report
		got := verify(t, d, Options{Progress: func(r Report) { last = r }})
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Report{}, "Unheld")); diff != "" {
			t.Errorf("report differs (-want +got):\n%s\n%s", diff, got)
		}
		if last.Executions != want.Executions {
			t.Errorf("the last progress has %d pipelines", last.Executions)
		}
	})
}

// tampering is one change made outside the engine, and the breaches that must be reported for it: the invariant, then
// the task or "-".
type tampering struct {
	name, scenario string
	change         string // the statement; $p is the pipeline, $t the task called task
	task           string
	want           []string
	found          string // part of the report's text
	data           string // $data in the statement
}

var tamperings = []tampering{
	{
		"event removed", "under way",
		`DELETE FROM {execution_events} WHERE task_execution_id = $t AND version = 4`, "a",
		[]string{"I1 a"},
		"no event of version 4", "",
	},
	{
		"first event removed", "under way",
		`DELETE FROM {execution_events} WHERE task_execution_id = $t AND version = 1`,
		"b",
		[]string{"I1 b"},
		"no event of version 1", "",
	},
	{
		"last event removed", "under way",
		`DELETE FROM {execution_events} WHERE task_execution_id = $t AND version = 4`,
		"b",
		[]string{"I1 b"},
		"row has version 4", "",
	},
	{
		"all events removed", "under way", `DELETE FROM {execution_events} WHERE task_execution_id = $t`, "b",
		[]string{"I1 b"},
		"end at version 0", "",
	},
	{
		"row moved silently", "under way", `UPDATE {task_executions} SET version = version + 1 WHERE id = $t`, "b",
		[]string{"I1 b"},
		"row has version 5", "",
	},
	{
		"version twice", "under way",
		`UPDATE {execution_events} SET version = 3 WHERE task_execution_id = $t AND version = 4`, "b",
		[]string{"I1 b"},
		"second event of version 3", "",
	},
	{
		"version lost", "under way",
		`UPDATE {execution_events} SET version = NULL WHERE task_execution_id = $t AND version = 4`, "b",
		[]string{"I1 b"},
		"without a version", "",
	},
	{
		"version zero", "under way",
		`UPDATE {execution_events} SET version = 0 WHERE task_execution_id = $t AND version = 4`, "b",
		[]string{"I1 b"},
		"version 0", "",
	},
	{
		"huge version", "under way",
		`UPDATE {execution_events} SET version = 9223372036854775807 WHERE task_execution_id = $t AND version = 4`, "b",
		[]string{"I1 b"},
		"no event of version 4", "",
	},
	{
		"annotation with a version", "under way",
		`UPDATE {execution_events} SET version = 9 WHERE task_execution_id = $t AND event_type = 'annotation'`, "b",
		[]string{"I1 b"},
		"annotation of version 9", "",
	},
	{
		"pipeline's event removed", "paused",
		`DELETE FROM {execution_events} WHERE pipeline_execution_id = $p AND event_type = 'pipeline_paused'`, "",
		[]string{"I1 -"},
		"row has version 2", "",
	},
	{
		"pipeline moved silently", "paused", `UPDATE {pipeline_executions} SET version = 7 WHERE id = $p`, "",
		[]string{"I1 -"},
		"row has version 7", "",
	},
	{
		"queue changed", "under way", `UPDATE {task_executions} SET queue = 'other' WHERE id = $t`, "b",
		[]string{"I2 b"},
		`queue "other"`, "",
	},
	{
		"priority changed", "under way", `UPDATE {task_executions} SET priority = 0 WHERE id = $t`, "b",
		[]string{"I2 b"},
		"priority 0", "",
	},
	{
		"outbox row in another queue", "under way",
		`UPDATE {task_outbox} SET queue = 'other' WHERE task_execution_id = $t`, "d",
		[]string{"I4 d"},
		`for the queue "other"`, "",
	},

	{
		"status changed", "under way",
		`UPDATE {task_executions} SET status = 'Ready', sub_status = 'Deferred' WHERE id = $t`, "b",
		[]string{"I2 b", "I4 b"},
		`status "Ready", sub_status "Deferred"`, "",
	},
	{
		"sub_status changed", "under way", `UPDATE {task_executions} SET sub_status = NULL WHERE id = $t`, "b",
		[]string{"I2 b"},
		"sub_status null", "",
	},
	{
		"attempt changed", "under way", `UPDATE {task_executions} SET attempt = 7 WHERE id = $t`, "b",
		[]string{"I2 b"},
		"attempt 7", "",
	},
	{
		"max_attempts changed", "under way", `UPDATE {task_executions} SET max_attempts = 7 WHERE id = $t`, "b",
		[]string{"I2 b"},
		"max_attempts 7", "",
	},
	{
		"recoveries changed", "under way", `UPDATE {task_executions} SET recoveries = 1 WHERE id = $t`, "b",
		[]string{"I2 b"},
		"recoveries 1", "",
	},
	{
		"worker changed", "under way", `UPDATE {task_executions} SET worker_id = 'w9' WHERE id = $t`, "b",
		[]string{"I2 b"},
		`worker_id "w9"`, "",
	},
	{
		"error_kind changed", "failed", `UPDATE {task_executions} SET error_kind = 'exit' WHERE id = $t`, "a",
		[]string{"I2 a"},
		`error_kind "exit"`, "",
	},
	{
		"error changed", "failed", `UPDATE {task_executions} SET error = 'other' WHERE id = $t`, "a",
		[]string{"I2 a"},
		`error "other"`, "",
	},
	{
		"name changed", "completed", `UPDATE {task_executions} SET task_name = 'z' WHERE id = $t`, "a",
		[]string{"I2 z"},
		`task_name "z"`, "",
	},
	{
		"handler changed", "completed", `UPDATE {task_executions} SET handler = 'http' WHERE id = $t`, "a",
		[]string{"I2 a"},
		`handler "http"`, "",
	},
	{
		"retry_at lost", "under way", `UPDATE {task_executions} SET retry_at = NULL WHERE id = $t`, "d",
		[]string{"I2 d"},
		"retry_at null", "",
	},
	{
		"started_at lost", "under way", `UPDATE {task_executions} SET started_at = NULL WHERE id = $t`, "b",
		[]string{"I2 b"},
		"started_at null", "",
	},
	{
		"completed_at lost", "under way", `UPDATE {task_executions} SET completed_at = NULL WHERE id = $t`, "a",
		[]string{"I2 a"},
		"completed_at null", "",
	},
	{
		"completed_at of an open task", "under way",
		`UPDATE {task_executions} SET completed_at = created_at WHERE id = $t`, "b",
		[]string{"I2 b"},
		"completed_at 2026-11-21T12:00:00.123456Z", "",
	},
	{
		"pipeline's status changed", "completed", `UPDATE {pipeline_executions} SET status = 'Cancelled' WHERE id = $p`,
		"",
		[]string{"I2 -"},
		`status "Cancelled"`, "",
	},
	{
		"pipeline's attempt changed", "failed", `UPDATE {pipeline_executions} SET attempt = 2 WHERE id = $p`, "",
		[]string{"I2 -"},
		"attempt 2", "",
	},
	{
		"pipeline's error changed", "failed", `UPDATE {pipeline_executions} SET error = NULL WHERE id = $p`, "",
		[]string{"I2 -"},
		"error null", "",
	},
	{
		"paused_at lost", "paused", `UPDATE {pipeline_executions} SET paused_at = NULL WHERE id = $p`, "",
		[]string{"I2 -"},
		"paused_at null", "",
	},
	{
		"pipeline's completed_at lost", "completed",
		`UPDATE {pipeline_executions} SET completed_at = NULL WHERE id = $p`,
		"",
		[]string{"I2 -"},
		"completed_at null", "",
	},
	{
		"pipeline's definition changed", "completed",
		`UPDATE {pipeline_executions} SET definition_version = 'v2' WHERE id = $p`, "",
		[]string{"I2 -"},
		`definition_version "v2"`, "",
	},

	{
		"illegal step", "under way",
		`UPDATE {execution_events} SET event_type = 'task_cancelled', event_data = $data WHERE task_execution_id = $t
  AND version = 2`, "b",
		[]string{"I3 b"},
		"task_claimed of a task that is Cancelled", `{"reason": ""}`,
	},
	{
		"unknown type", "under way",
		`UPDATE {execution_events} SET event_type = 'task_vanished' WHERE task_execution_id = $t AND version = 4`, "b",
		[]string{"I3 b"},
		"unknown type", "",
	},
	{
		"pipeline's event on a task", "under way",
		`UPDATE {execution_events} SET event_type = 'pipeline_paused' WHERE task_execution_id = $t AND version = 4`,
		"b",
		[]string{"I3 b"},
		"among the events of a task", "",
	},
	{
		"task's event on the pipeline", "paused",
		`UPDATE {execution_events} SET event_type = 'task_started' WHERE pipeline_execution_id = $p
  AND event_type = 'pipeline_paused'`, "",
		[]string{"I3 -"},
		"among the events of a pipeline", "",
	},
	{
		"event without its task", "under way",
		`UPDATE {execution_events} SET task_execution_id = NULL WHERE task_execution_id = $t AND version = 4`, "b",
		[]string{"I1 b", "I3 -"},
		"among the events of a pipeline", "",
	},
	{
		"past failure made a completion", "retried",
		`UPDATE {execution_events} SET event_type = 'pipeline_completed' WHERE pipeline_execution_id = $p
  AND event_type = 'pipeline_failed'`,
		"",
		[]string{"I6 -"},
		`pipeline_completed, though task "a" was Failed and does not say continue_on_error`, "",
	},
	{
		"illegal pipeline step", "paused",
		`UPDATE {execution_events} SET event_type = 'pipeline_resumed' WHERE pipeline_execution_id = $p
  AND event_type = 'pipeline_paused'`, "",
		[]string{"I3 -"},
		"pipeline_resumed of a pipeline that is Running", "",
	},
	{
		"deferral not resumed", "restarted",
		`UPDATE {execution_events} SET event_type = 'task_started', event_data = $data WHERE task_execution_id = $t
  AND event_type = 'task_resumed'`, "a",
		[]string{"I3 a"},
		"after the claim of a deferred task", `{"attempt": 3}`,
	},
	{
		"ran against its rule", "continued",
		`UPDATE {execution_events} SET event_data = $data WHERE task_execution_id = $t AND version = 1`, "rescue",
		[]string{"I3 rescue"},
		"trigger rule all_success is false",
		`{"id": "rescue", "uses": "shell", "needs": ["a"], "trigger_rule": "all_success", "max_attempts": 3}`,
	},
	{
		"unknown rule", "completed",
		`UPDATE {execution_events} SET event_data = $data WHERE task_execution_id = $t AND version = 1`, "a",
		[]string{"I3 a"},
		"whenever", `{"id": "a", "uses": "shell", "needs": [], "trigger_rule": "whenever", "max_attempts": 3}`,
	},

	{
		"outbox row lost", "under way", `DELETE FROM {task_outbox} WHERE task_execution_id = $t`, "d",
		[]string{"I4 d"},
		"no outbox row", "",
	},
	{
		"outbox row of a running task", "under way",
		`INSERT INTO {task_outbox} (task_execution_id, handler, available_at, created_at)
  SELECT id, handler, created_at, created_at FROM {task_executions} WHERE id = $t`, "b",
		[]string{"I4 b"},
		`"Running" in a pipeline that is "Running"`, "",
	},
	{
		"outbox row of a paused pipeline", "paused",
		`INSERT INTO {task_outbox} (task_execution_id, handler, available_at, created_at)
  SELECT id, handler, created_at, created_at FROM {task_executions} WHERE id = $t`, "b",
		[]string{"I4 b"},
		`"Ready" in a pipeline that is "Paused"`, "",
	},
	{
		"outbox row of an ended pipeline", "completed",
		`INSERT INTO {task_outbox} (task_execution_id, handler, available_at, created_at)
  SELECT id, handler, created_at, created_at FROM {task_executions} WHERE id = $t`, "a",
		[]string{"I4 a"},
		`"Completed" in a pipeline that is "Completed"`, "",
	},
	{
		"outbox row for another handler", "under way",
		`UPDATE {task_outbox} SET handler = 'http' WHERE task_execution_id = $t`, "d",
		[]string{"I4 d"},
		`"http"`, "",
	},
	{
		"outbox row due too early", "under way",
		`UPDATE {task_outbox} SET available_at = (SELECT created_at FROM {task_executions} WHERE id = $t)
  WHERE task_execution_id = $t`, "d",
		[]string{"I4 d"},
		"not before retry_at", "",
	},

	{
		"completed by another worker", "under way",
		`UPDATE {execution_events} SET worker_id = 'w9' WHERE task_execution_id = $t AND event_type = 'task_completed'`,
		"a",
		[]string{"I5 a"},
		`task_completed by worker "w9"`, "",
	},
	{
		"retry by another worker", "under way",
		`UPDATE {execution_events} SET worker_id = NULL WHERE task_execution_id = $t
  AND event_type = 'task_retry_scheduled'`, "a",
		[]string{"I5 a"},
		"by no worker", "",
	},
	{
		"completion of an old attempt", "under way",
		`UPDATE {execution_events} SET event_data = $data WHERE task_execution_id = $t
  AND event_type = 'task_completed'`, "a",
		[]string{"I5 a"},
		"of attempt 1", `{"attempt": 1, "duration_ms": 5}`,
	},

	{
		"ended with an open task", "under way",
		`UPDATE {pipeline_executions} SET status = 'Completed' WHERE id = $p`, "",
		[]string{"I2 -", "I4 d", "I6 -"},
		"", "",
	},
	{
		"never ended", "completed",
		`UPDATE {pipeline_executions} SET status = 'Running', completed_at = NULL WHERE id = $p`, "",
		[]string{"I2 -", "I6 -"},
		"", "",
	},
	{
		"unknown pipeline status", "completed", `UPDATE {pipeline_executions} SET status = 'Odd' WHERE id = $p`, "",
		[]string{"I2 -", "I6 -"},
		"", "",
	},
	{
		"failed without a failure", "continued", `UPDATE {pipeline_executions} SET status = 'Failed' WHERE id = $p`, "",
		[]string{"I2 -", "I6 -"},
		"", "",
	},
	{
		"completed over a failure", "failed", `UPDATE {pipeline_executions} SET status = 'Completed' WHERE id = $p`, "",
		[]string{"I2 -", "I6 -"},
		"", "",
	},
	{
		"stuck", "under way",
		`UPDATE {execution_events} SET event_data = $data WHERE task_execution_id = $t AND version = 1`, "c",
		[]string{"I6 c", "I7 c"},
		"", `{"id": "c", "uses": "shell", "needs": ["a"], "trigger_rule": "all_success", "max_attempts": 3}`,
	},
	{
		"ready too early", "under way",
		`UPDATE {execution_events} SET event_data = $data WHERE task_execution_id = $t AND version = 1`, "d",
		[]string{"I3 d", "I7 d"},
		"", `{"id": "d", "uses": "shell", "needs": ["b"], "trigger_rule": "all_success", "max_attempts": 3}`,
	},

	{
		"remaining_dependencies changed", "under way",
		`UPDATE {task_executions} SET remaining_dependencies = 2 WHERE id = $t`, "c",
		[]string{"I7 c"},
		"remaining_dependencies 2", "",
	},
	{
		"open_tasks changed", "under way", `UPDATE {pipeline_executions} SET open_tasks = 0 WHERE id = $p`, "",
		[]string{"I7 -"},
		"open_tasks 0", "",
	},
	{
		"unsuccessful_tasks changed", "failed", `UPDATE {pipeline_executions} SET unsuccessful_tasks = 0 WHERE id = $p`,
		"",
		[]string{"I7 -"},
		"unsuccessful_tasks 0", "",
	},
	{
		"counts of the end changed", "completed",
		`UPDATE {execution_events} SET event_data = $data WHERE pipeline_execution_id = $p
  AND event_type = 'pipeline_completed'`, "",
		[]string{"I7 -"},
		"tasks by status: 1 Completed\n  expected: 2 Completed, 1 \"Odd\", as the event",
		`{"counts": {"Completed": 2, "Failed": 0, "Odd": 1}, "duration_ms": 5}`,
	},
	{
		"task_count changed", "completed",
		`UPDATE {execution_events} SET event_data = $data WHERE pipeline_execution_id = $p
  AND event_type = 'pipeline_started'`, "",
		[]string{"I7 -"},
		"1 tasks", `{"pipeline": "nightly", "definition_version": "v1", "task_count": 2}`,
	},
	{
		"dependency that is not there", "under way",
		`UPDATE {execution_events} SET event_data = $data WHERE task_execution_id = $t AND version = 1`, "c",
		[]string{"I7 c"},
		`"ghost", which does not exist`,
		`{"id": "c", "uses": "shell", "needs": ["a", "ghost"], "trigger_rule": "all_success", "max_attempts": 3}`,
	},

	{
		"data emptied", "under way",
		`UPDATE {execution_events} SET event_data = $data WHERE task_execution_id = $t AND version = 3`, "b",
		[]string{"I2 b"},
		"without attempt", `{}`,
	},
	{
		"data of another shape", "under way",
		`UPDATE {execution_events} SET event_data = $data WHERE task_execution_id = $t AND version = 3`, "b",
		[]string{"I2 b"},
		"event_data of task_claimed", `[1]`,
	},
	{
		"retention of an open execution", "under way",
		`UPDATE {pipeline_executions} SET events_removed = 3 WHERE id = $p`,
		"",
		[]string{"I1 -"},
		"events removed", "",
	},
	{
		"retention without a removal", "completed", `UPDATE {pipeline_executions} SET events_removed = 3 WHERE id = $p`,
		"",
		[]string{"I1 -"},
		"events_removed 3", "",
	},
	{
		"task's row removed", "under way", `DELETE FROM {task_executions} WHERE id = $t`, "b",
		[]string{"I7 -", "I7 -", "I7 c", "data -"},
		"", "",
	},
}

func (x tampering) apply(t *testing.T, d *db.DB, s *sim) {
	t.Helper()
	args := db.Args{"p": s.pid, "data": dbtype.JSON(x.data)}
	if x.task != "" {
		args["t"] = s.task(x.task).id
	}
	err := d.Transaction(t.Context(), func(tx db.Tx) error {
		n, err := tx.Exec(x.change, args)
		if err == nil && n == 0 {
			err = errors.New("the change changes nothing")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// names reduces breaches to invariant and task.
func names(breaches []Violation) []string {
	var out []string
	for _, b := range breaches {
		name := b.TaskName
		if name == "" {
			name = "-"
		}
		out = append(out, b.Invariant+" "+name)
	}
	slices.Sort(out)
	return out
}

func TestTamperingIsFound(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, x := range tamperings {
			s := scenarios()[x.scenario]
			save(t, d, s)
			if r := verify(t, d, Options{IDs: []dbtype.ID{s.pid}}); !r.OK() {
				t.Fatalf("%s: before the change:\n%s", x.scenario, r)
			}
			x.apply(t, d, s)
			r := verify(t, d, Options{IDs: []dbtype.ID{s.pid}})
			if diff := cmp.Diff(x.want, names(r.Breaches)); diff != "" {
				t.Errorf("%s: breaches differ (-want +got):\n%s\n%s", x.name, diff, r)
			}
			if !strings.Contains(r.String(), x.found) {
				t.Errorf("%s: %q is not in\n%s", x.name, x.found, r)
			}
			for _, b := range r.Breaches {
				if b.PipelineExecutionID != s.pid {
					t.Errorf("%s: breach of pipeline %s", x.name, b.PipelineExecutionID)
				}
			}
		}
	})
}

func TestUnknownID(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		_, err := New(d).Verify(t.Context(), Options{IDs: []dbtype.ID{dbtype.NewID()}})
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCancelledContext(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		save(t, d, startSim(simSpec{name: "a"}))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := New(d).Verify(ctx, Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestMostBreaches(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for range 5 {
			s := startSim(simSpec{name: "a"})
			save(t, d, s)
			tampering{change: `DELETE FROM {task_outbox} WHERE task_execution_id = $t`, task: "a"}.apply(t, d, s)
		}
		if r := verify(t, d, Options{MaxViolations: 3}); len(r.Breaches) != 3 || !r.Truncated ||
			!strings.Contains(r.Summary(), "stopped after 3 breaches") {
			t.Errorf("got %s", r)
		}
		if r := verify(t, d, Options{MaxViolations: 5}); len(r.Breaches) != 5 || r.Truncated {
			t.Errorf("got %s", r)
		}
	})
}

// TestCausesComeFirst checks that a breach of a row is reported before the breaches that follow from it.
func TestCausesComeFirst(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := scenarios()["under way"]
		save(t, d, s)
		tampering{
			change: `UPDATE {task_executions} SET status = 'Completed', sub_status = NULL WHERE id = $t`,
			task:   "d",
		}.apply(t, d, s)
		tampering{change: `UPDATE {task_executions} SET status = 'NotStarted' WHERE id = $t`, task: "a"}.apply(t, d, s)
		var got []string
		for _, b := range verify(t, d, Options{}).Breaches {
			got = append(got, b.Invariant+" "+b.TaskName)
		}
		own := slices.IndexFunc(got, func(s string) bool { return !strings.HasPrefix(s, "I2 ") })
		if own != 2 || !slices.Contains(got[own:], "I7 b") ||
			slices.ContainsFunc(got[own:], func(s string) bool { return strings.HasPrefix(s, "I2 ") }) {
			t.Errorf("in this order: %q", got)
		}
	})
}

// TestStoredDefinitions checks that a definition's version is the hash of its content, whichever database stores it.
func TestStoredDefinitions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		doc := `{"tasks":[{"with":{"b":1.50,"aa":"é"},"id":"a","uses":"x"}],"name":"p"}`
		version, err := definition.VersionOf([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		exec(t, d, `INSERT INTO {pipeline_definitions} (pipeline_name, version, definition) VALUES ('p', $v, $doc)`,
			db.Args{"v": version, "doc": dbtype.JSON(doc)})
		if r := verify(t, d, Options{}); !r.OK() || r.Definitions != 1 {
			t.Fatal(r)
		}
		exec(t, d, `UPDATE {pipeline_definitions} SET definition = $doc`,
			db.Args{"doc": dbtype.JSON(strings.Replace(doc, "1.50", "1.5", 1))})
		for _, o := range []Options{{}, {Since: dbtype.NewTime(time.Now())}} {
			r := verify(t, d, o)
			if diff := cmp.Diff([]string{"definition -"}, names(r.Breaches)); diff != "" ||
				!strings.Contains(r.String(), version) {
				t.Errorf("%s\n%s", diff, r)
			}
		}
	})
}

// TestNumbersAgainstVersions checks that a sequence_num that contradicts the order of versions is a breach, because
// histories are read by sequence_num.
func TestNumbersAgainstVersions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for task, want := range map[string]string{"b": "I1 b", "": "I1 -"} {
			s := scenarios()["paused"]
			save(t, d, s)
			args, of := db.Args{"p": s.pid}, "task_execution_id IS NULL"
			if task != "" {
				args["t"], of = s.task(task).id, "task_execution_id = $t"
			}
			exec(t, d, `INSERT INTO {execution_events} (sequence_num, id, pipeline_execution_id, task_execution_id,
  event_type, version, event_data, worker_id,
  actor, created_at) $given_numbers
SELECT -sequence_num, id, pipeline_execution_id, task_execution_id, event_type, version, event_data,
  worker_id, actor, created_at
FROM {execution_events} WHERE pipeline_execution_id = $p AND `+of, args)
			exec(t, d, `DELETE FROM {execution_events} WHERE sequence_num > 0 AND pipeline_execution_id = $p AND `+
				of, args)
			r := verify(t, d, Options{IDs: []dbtype.ID{s.pid}})
			if diff := cmp.Diff([]string{want}, names(r.Breaches)); diff != "" ||
				!strings.Contains(r.String(), "sequence_num grows with the version") {
				t.Errorf("%s\n%s", diff, r)
			}
		}
	})
}

func TestReportReads(t *testing.T) {
	d := dbtest.SQLite(t)
	s := scenarios()["under way"]
	save(t, d, s)
	tampering{change: `UPDATE {task_executions} SET attempt = 7 WHERE id = $t`, task: "b"}.apply(t, d, s)
	r := verify(t, d, Options{})
	want := `I2 faithful · pipeline execution ` + s.pid.String() + ` · task b (` + s.task("b").id.String() + `)
  found:    the row has attempt 7
  expected: what its events make of it: attempt 1
  events:   #14 2026-11-21T12:00:04.123456Z task_marked_ready version 2
            #15 2026-11-21T12:00:05.123456Z task_claimed version 3
            #16 2026-11-21T12:00:05.123456Z task_started version 4
  hint:     the row was changed by something else than a transition, or the event was changed after it was written

unheld · pipeline execution ` + s.pid.String() + ` · task b (` + s.task("b").id.String() + `)
  found:    Running, but its worker has no row; it was started at 2026-11-21T12:00:05.123456Z
  hint:     a live worker takes it back; ` + "`sluice doctor`" + ` says if none does

checked 1 pipeline execution, 4 tasks, 21 events, 1 outbox row (1 running task without a live worker): 1 breach
  covers:         ` + strings.Join(r.Covers, "; ") + `
  does not cover: ` + strings.Join(r.DoesNotCover, "; ") + `
`
	if diff := cmp.Diff(want, r.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`"breaches":[{"invariant":"I2"`, `"id":"b"`, `"outbox_rows":1`,
		`{"sequence_num":16,"event_type":"task_started","version":4,"created_at":"2026-11-21T12:00:05.123456Z"}`,
	} {
		if !strings.Contains(string(raw), part) {
			t.Errorf("%s is not in %s", part, raw)
		}
	}
}
