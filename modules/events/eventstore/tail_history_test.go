package eventstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/retention"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/db/dbtest/localpg"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// refusal returns the error that a tail returns for a cursor of another history.
func refusal(t *testing.T, r *eventstore.Repository, c eventstore.Cursor) *eventstore.CursorMismatchError {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), aMinute)
	defer cancel()
	for b, err := range r.Tail(ctx, c, eventstore.TailOptions{}) {
		var refused *eventstore.CursorMismatchError
		if errors.As(err, &refused) {
			return refused
		}
		t.Errorf("got %d events and %v, expected a refusal", len(b.Events), err)
		break
	}
	return &eventstore.CursorMismatchError{}
}

// isRefused checks that a cursor is refused.
func isRefused(t *testing.T, r *eventstore.Repository, c eventstore.Cursor) {
	t.Helper()
	if e := refusal(t, r, c); e.Since.IsZero() || e.Reason == "" {
		t.Errorf("the refusal says too little: %+v", e)
	}
}

// serve starts a server for one test.
func serve(t *testing.T, c localpg.Config) string {
	t.Helper()
	s, err := localpg.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s.URL()
}

func filled(t *testing.T, url string, n int) (*db.DB, *eventstore.Repository) {
	t.Helper()
	d := dbtest.Open(t, url)
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := eventstore.NewRepository(d)
	fill(t, d, r, n)
	return d, r
}

// fill writes events, one per transaction.
func fill(t *testing.T, d *db.DB, r *eventstore.Repository, n int) {
	t.Helper()
	for range n {
		add(t, d, r, about(dbtype.NewID(), events.TaskClaimed))
	}
}

// whole checks that a tail from the beginning returns the whole history.
func whole(t *testing.T, r *eventstore.Repository, n int) {
	t.Helper()
	want := list(t, r, eventstore.Filter{})
	if len(want) != n {
		t.Errorf("there are %d events, expected %d", len(want), n)
	}
	if diff := cmp.Diff(want, plain(take(t, r, "", len(want)))); diff != "" {
		t.Error(diff)
	}
}

// TestTailAfterDumpAndRestore restores a dump on a server that has had fewer transactions than the original. A tail
// there returns the whole history, and new events follow. The original server's cursors are refused, with a time from
// which nothing is missed.
func TestTailAfterDumpAndRestore(t *testing.T) {
	t.Parallel()
	source := dbtest.PostgresURL(t)
	d, r := filled(t, source, 20)
	place := take(t, r, "", 11)[10]
	dump := filepath.Join(t.TempDir(), "dump.sql")
	target := serve(t, localpg.Config{})
	if err := errors.Join(localpg.Dump(t.Context(), source, dump),
		localpg.Restore(t.Context(), target, dump)); err != nil {
		t.Fatal(err)
	}
	fill(t, d, r, 5)
	copied := dbtest.Open(t, target)
	restored := eventstore.NewRepository(copied)
	fill(t, copied, restored, 3)
	whole(t, restored, 23)
	refused := refusal(t, restored, place.Cursor)
	if !strings.Contains(refused.Error(), "made for another server, database, tenant or table") ||
		refused.Since.After(place.CreatedAt.Time) {
		t.Errorf("%s: %s", refused, refused.Since)
	}
	behind := takeBy(t, restored, "", 12,
		eventstore.TailOptions{Filter: eventstore.Filter{Page: eventstore.Page{Since: refused.Since}}})
	if behind[len(behind)-1].CreatedAt.IsZero() || plain(take(t, r, "", 12))[11].ID != behind[11].ID {
		t.Error("--since of the refused cursor skips something")
	}
	fill(t, copied, restored, 1)
	if got := take(t, restored, take(t, restored, "", 20)[19].Cursor.String(),
		4); got[0].SequenceNum <= place.SequenceNum {
		t.Errorf("the new server's event has number %d", got[0].SequenceNum)
	}
}

// TestTailOfACopiedDatabase checks that CREATE DATABASE … TEMPLATE copies everything except the database's identity.
func TestTailOfACopiedDatabase(t *testing.T) {
	t.Parallel()
	server := serve(t, localpg.Config{})
	d, r := filled(t, server, 10)
	place := take(t, r, "", 4)[3].Cursor
	if err := d.Close(); err != nil { // a template may have no sessions
		t.Fatal(err)
	}
	other := dbtest.Open(t, strings.Replace(server, "/postgres?", "/template1?", 1))
	g, err := other.Read(t.Context(), "workers")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Exec(`CREATE DATABASE copied TEMPLATE postgres`).Error; err != nil {
		t.Fatal(err)
	}
	_, r = filled(t, strings.Replace(server, "/postgres?", "/copied?", 1), 5)
	whole(t, r, 15)
	isRefused(t, r, place)
	take(t, eventstore.NewRepository(dbtest.Open(t, server)), place.String(), 6) // cursors of the template stay valid
}

// TestTailAfterAnOldBackup checks that a server restored from an older copy of its data directory accepts positions
// before the copy. It refuses those after it, before and after it has issued their numbers to other events.
func TestTailAfterAnOldBackup(t *testing.T) {
	t.Parallel()
	server := serve(t, localpg.Config{Durable: true})
	d, r := filled(t, server, 10)
	folder := filepath.Join(t.TempDir(), "backup")
	if err := localpg.Backup(t.Context(), server, folder); err != nil {
		t.Fatal(err)
	}
	fill(t, d, r, 10)
	all := take(t, r, "", 20)
	restored := dbtest.Open(t, serve(t, localpg.Config{From: folder}))
	again := eventstore.NewRepository(restored)
	if got := take(t, again, all[4].Cursor.String(), 5); got[0].SequenceNum != 6 {
		t.Errorf("behind number 5 comes %d", got[0].SequenceNum)
	}
	refused := refusal(t, again, all[19].Cursor)
	if !strings.Contains(refused.Error(), "restored from an older copy") {
		t.Error(refused)
	}
	fill(t, restored, again, 60) // a server that was not shut down skips up to 32 numbers
	isRefused(t, again, all[19].Cursor)
	isRefused(t, again, all[10].Cursor)
	whole(t, again, 70)
	take(t, again, all[9].Cursor.String(), 60)
}

// TestTailOfACopiedFile does the same for SQLite, whose file is restored while a reader follows it.
func TestTailOfACopiedFile(t *testing.T) {
	t.Parallel()
	url := dbtest.SQLiteURL(t)
	path := strings.TrimPrefix(url, "sqlite://")
	d, _ := filled(t, url, 10)
	if err := d.Close(); err != nil { // copies the log into the file
		t.Fatal(err)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d, r := filled(t, url, 10)
	all := take(t, r, "", 20)
	ctx, cancel := context.WithTimeout(t.Context(), aMinute)
	defer cancel()
	replaced := false
	for _, err := range r.Tail(ctx, all[18].Cursor, eventstore.TailOptions{}) {
		if replaced {
			if err == nil {
				t.Error("the tail goes on over a database that has been closed")
			}
			break
		}
		if err := errors.Join(d.Close(), os.Remove(path+"-wal"), os.Remove(path+"-shm"),
			os.WriteFile(path+".old", old, 0o600),
			os.Rename(path+".old", path)); err != nil {
			t.Fatal(err)
		}
		replaced = true
	}
	d, r = filled(t, url, 0)
	isRefused(t, r, all[19].Cursor)
	fill(t, d, r, 15)
	if got := refusal(t, r, all[19].Cursor).Error(); !strings.Contains(got, "another event in the place") {
		t.Error(got)
	}
	take(t, r, all[9].Cursor.String(), 15)
	whole(t, r, 25)
}

// TestTailAfterRetention checks that a position stays valid if retention removed its event, or its whole execution.
func TestTailAfterRetention(t *testing.T) {
	t.Parallel()
	for _, kind := range []retention.Kind{retention.Events, retention.Executions} {
		t.Run(string(kind), func(t *testing.T) {
			enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
				def := s.Define(t, "short", step("a"))
				stop := s.Work(t, t.Context(), workersConfig)
				s.Wait(t, t.Context(), s.Start(t, t.Context(), def, ""))
				stop()
				all := take(t, s.Events, "", 7)
				<-time.After(time.Millisecond)
				removed, err := s.Retention.Run(t.Context(),
					retention.Options{Ages: retention.Policy{kind: time.Microsecond}})
				if err != nil || len(removed) != 1 {
					t.Fatalf("removed: %v (%v)", removed, err)
				}
				next := s.Start(t, t.Context(), def, "")
				for _, e := range all {
					for _, got := range take(t, s.Events, e.Cursor.String(), 3) {
						if got.PipelineExecutionID != next {
							t.Errorf("behind %s comes %s of %s", e.EventType, got.EventType, got.PipelineExecutionID)
						}
					}
				}
			})
		})
	}
}

// TestTailOfAnotherTenant checks that a position is valid only in its own tenant.
func TestTailOfAnotherTenant(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *eventstore.Repository) {
		fill(t, d, r, 3)
		place := take(t, r, "", 2)[1].Cursor
		acme := db.WithTenant(t.Context(), "acme")
		if err := d.CreateTenant(acme); err != nil {
			t.Fatal(err)
		}
		for _, err := range r.Tail(acme, place, eventstore.TailOptions{}) {
			var refused *eventstore.CursorMismatchError
			if !errors.As(err, &refused) {
				t.Errorf("got %v, expected a refusal", err)
			}
			break
		}
	})
}
