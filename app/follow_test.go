package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const two = "name: two\ntasks: [{id: a, run: echo a}, {id: b, needs: [a], run: echo b}]\n"

// followed is a line of events --follow -o json.
type followed struct {
	event
	Cursor string `json:"cursor"`
}

func lines(t *testing.T, text string) []followed {
	t.Helper()
	var out []followed
	for line := range strings.Lines(text) {
		var e followed
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		out = append(out, e)
	}
	return out
}

// TestFollow checks that --follow writes what a listing has, from the beginning and from any cursor, continues with
// new events, and ends after --limit or with 130 after an interrupt.
func TestFollow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path := file(t, "two.yaml", two)
		p.ok(t, "run", path)
		listed := p.events(t)
		all := lines(t, p.ok(t, "events", "--follow", "--since", "all", "--limit", fmt.Sprint(len(listed)), "-o",
			"json"))
		for i, e := range all {
			if e.SequenceNum != listed[i].SequenceNum || e.EventType != listed[i].EventType || e.Cursor == "" {
				t.Errorf("line %d: %+v, listed %+v", i, e, listed[i])
			}
		}
		following := p.begin(t, "events", "--follow", "--cursor", all[len(all)-3].Cursor, "--limit", "5", "-o", "json")
		p.ok(t, "run", path)
		r := following.wait(t)
		if got := lines(t, r.stdout); r.code != 0 || len(got) != 5 ||
			got[0].SequenceNum != all[len(all)-2].SequenceNum || got[4].EventType != "task_marked_ready" {
			t.Errorf("exit code %d: %+v\n%s", r.code, got, r.stderr)
		}
		table := p.ok(t, "events", "--follow", "--since", "0", "--limit", "3", "--type", "task_completed")
		contains(t, table, "EXECUTION", "PIPELINE", "completed (attempt 1", "  two  ", "  a  ", "  b  ")
		if n := strings.Count(table, "\n"); n != 4 {
			t.Errorf("%d lines:\n%s", n, table)
		}
		endless := p.begin(t, "events", "--follow", "--pipeline-execution", listed[0].PipelineExecutionID)
		p.ok(t, "list")
		if r := endless.stop(t); r.code != 130 || !strings.Contains(r.stderr, "interrupted") {
			t.Errorf("exit code %d: %s", r.code, r.stderr)
		}
		p.fails(t, 3, []string{"no such pipeline execution"}, "events", "--follow", "--pipeline-execution", nobody)
	})
}

// TestFollowRefusesAnotherHistory checks that a cursor of another history is refused with a hint that works.
func TestFollowRefusesAnotherHistory(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path := file(t, "two.yaml", two)
		p.ok(t, "run", path)
		other := &program{url: dbtest.SQLiteURL(t)}
		if strings.HasPrefix(p.url, "postgres") {
			other.url = dbtest.PostgresURL(t)
		}
		other.ok(t, "run", path)
		cursor := lines(t, p.ok(t, "events", "--follow", "--since", "all", "--limit", "1", "-o", "json"))[0].Cursor
		r := other.run(t, "events", "--follow", "--cursor", cursor)
		if r.code != 3 {
			t.Errorf("exit code %d", r.code)
		}
		contains(t, r.stderr, "the cursor belongs to another history: ", "go on without the cursor and with --since 2")
		since := strings.Fields(strings.SplitN(r.stderr, "--since ", 2)[1])[0]
		if got := lines(t, other.ok(t, "events", "--follow", "--since", since, "--limit", "12", "-o", "json")); len(
			got) != 12 {
			t.Errorf("%d events", len(got))
		}
	})
}

// holdOpen begins a transaction with an event, and returns the function that rolls it back.
func holdOpen(t *testing.T, d *db.DB) (end func()) {
	t.Helper()
	held, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = d.Transaction(context.Background(), func(tx db.Tx) error { // it is rolled back
			b := tx.Batch()
			eventstore.NewRepository(d).
				Append(b, []events.Event{{
					PipelineExecutionID: dbtype.NewID(), EventType: events.Annotation,
					EventData: dbtype.JSON("{}"),
				}})
			if err := b.Send(); err != nil {
				t.Errorf("append: %v", err)
			}
			close(held)
			<-release
			return context.Canceled
		})
	}()
	<-held
	return func() { close(release); <-done }
}

// TestFollowSaysWhyItWaits checks that follow and doctor report open transactions, and that `sluice run` does not wait
// for them and still shows everything.
func TestFollowSaysWhyItWaits(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.PostgresURL(t)}
	d := dbtest.Open(t, p.url+"&application_name=culprit")
	end := holdOpen(t, d)
	following := p.begin(t, "events", "--follow", "--since", "all", "--limit", "12", "-o", "json")
	run := p.run(t, "run", file(t, "two.yaml", two))
	if run.code != 0 {
		t.Errorf("run: exit code %d\n%s", run.code, run.stderr)
	}
	contains(t, run.stderr, " a completed", " b completed")
	dbtest.Eventually(t, "it says why", func() bool { return strings.Contains(following.stderr.String(), "culprit") })
	contains(t, p.plain(following.stderr.String()),
		"behind open transactions that may have earlier ones; nothing is lost", "idle in transaction", "pid ",
		"`sluice doctor`")
	var tail found
	dbtest.Eventually(t, "doctor says so", func() bool {
		tail = check(t, p.run(t, "doctor", "-o", "json"), "tail")
		return tail.State == "warn"
	})
	if len(tail.Sessions) != 1 || tail.Sessions[0].Application != "culprit" || tail.Sessions[0].PID == 0 ||
		!strings.Contains(*tail.Advice, "pg_terminate_backend") {
		t.Errorf("doctor: %+v", tail)
	}
	contains(t, p.ok(t, "doctor"), "application culprit, idle in transaction")
	end()
	r := following.wait(t)
	if got := lines(t, r.stdout); r.code != 0 || len(got) != 12 {
		t.Errorf("exit code %d, %d events\n%s", r.code, len(got), r.stderr)
	}
	contains(t, r.stderr, "the open transactions have ended; going on")
}

// TestFollowComesBack checks that follow continues after an outage of the database.
func TestFollowComesBack(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.PostgresURL(t)}
	path := file(t, "two.yaml", two)
	p.ok(t, "run", path)
	following := p.begin(t, "events", "--follow", "--since", "all", "--limit", "24", "-o", "json")
	d := dbtest.Open(t, p.url)
	terminate := func() bool {
		n := 0
		err := d.Query(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'sluice tail' AND query LIKE 'SELECT last_value%'`, nil,
			func(scan db.Scan) error { return scan(&n) })
		return err == nil && n > 0
	}
	dbtest.Eventually(t, "its connection is ended", terminate)
	dbtest.Eventually(t, "it is back",
		func() bool { return strings.Contains(following.stderr.String(), "the database is back") })
	p.ok(t, "run", path)
	if got := lines(t, following.wait(t).stdout); len(got) != 24 || got[23].SequenceNum != 24 {
		t.Errorf("%d events, the last %+v", len(got), got[len(got)-1])
	}
	contains(t, following.stderr.String(), "database unreachable", "trying again until it is back")
}

// found is a finding of doctor.
type found struct {
	Check    string       `json:"check"`
	State    string       `json:"state"`
	Found    string       `json:"found"`
	Advice   *string      `json:"advice"`
	Sessions []db.Session `json:"sessions"`
}

func check(t *testing.T, r result, name string) found {
	t.Helper()
	for _, f := range decode[listing[found]](t, r.stdout).Items {
		if f.Check == name {
			return f
		}
	}
	t.Fatalf("no line %s in\n%s%s", name, r.stdout, r.stderr)
	return found{}
}

// TestDoctor examines a database without workers, with one, with tasks that no worker serves, and a missing database.
func TestDoctor(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "doctor", "-o", "json")
		if f := check(t, r, "workers"); r.code != 0 || f.State != "warn" ||
			*f.Advice != "start `sluice serve`: nobody works" {
			t.Errorf("exit code %d: %+v", r.code, f)
		}
		p.begin(t, "serve", "--workers", "1")
		dbtest.Eventually(t, "the worker is there",
			func() bool { return check(t, p.run(t, "doctor", "-o", "json"), "workers").State == "ok" })
		for _, f := range decode[listing[found]](t, p.ok(t, "doctor", "-o", "json")).Items {
			if f.State != "ok" || f.Advice != nil || f.Found == "" || len(f.Sessions) > 0 {
				t.Errorf("%+v", f)
			}
		}
		p.start(t, file(t, "far.yaml", "name: far\ntasks: [{id: a, run: echo a, queue: far}]\n"))
		if f := check(t, p.run(t, "doctor", "-o", "json"), "outbox"); !strings.Contains(f.Found,
			"no live worker serves 1") {
			t.Errorf("%+v", f)
		}
		age(t, p.url, 2*time.Minute)
		if r := p.run(t, "doctor"); r.code != 0 || !strings.Contains(r.stdout, "outbox") ||
			!strings.Contains(r.stdout, "warn") {
			t.Errorf("exit code %d\n%s", r.code, r.stdout)
		}
		age(t, p.url, 2*time.Hour)
		r = p.run(t, "doctor", "-o", "json")
		if f := check(t, r, "outbox"); r.code != 1 || f.State != "bad" ||
			!strings.Contains(*f.Advice, "`sluice outbox`") {
			t.Errorf("exit code %d: %+v", r.code, f)
		}
	})
	many := &program{url: dbtest.SQLiteURL(t)}
	many.ok(t, "start", file(t, "far.yaml", "name: far\ntasks: [{id: a, run: echo a, queue: far}]\n"), "--count",
		"10001")
	if f := check(t, many.run(t, "doctor", "-o", "json"),
		"outbox"); f.Found != "10001 tasks wait, of those due no live worker serves 10000 of the first 10000" {
		t.Errorf("%+v", f)
	}
	for url, words := range map[string]string{
		"postgres://postgres@127.0.0.1:1/nothing?connect_timeout=2": "check --database-url",
		dbtest.EmptyPostgresURL(t):                                  "run `sluice migrate`",
		dbtest.EmptySQLiteURL(t):                                    "`sluice run FILE` makes one",
	} {
		r := (&program{url: url}).run(t, "doctor")
		if r.code != 1 || !strings.Contains(r.stdout, "bad") || !strings.Contains(r.stdout, words) {
			t.Errorf("%s: exit code %d\n%s%s", url, r.code, r.stdout, r.stderr)
		}
	}
}

// age makes the outbox look as if it had waited for some time.
func age(t *testing.T, url string, d time.Duration) {
	t.Helper()
	h := dbtest.Open(t, url)
	err := h.Transaction(t.Context(), func(tx db.Tx) error {
		at := dbtype.NewTime(tx.Now.Add(-d))
		_, err := tx.Exec(`UPDATE {task_outbox} SET available_at = $at`, db.Args{"at": at})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
