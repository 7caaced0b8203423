package outbox_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is an outbox without tasks: this package does not know them. modules/pipelines tests both together.
type fixture struct {
	t *testing.T
	d *db.DB
	r *outbox.Repository
}

func each(t *testing.T, run func(t *testing.T, f *fixture)) {
	t.Helper()
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) { run(t, &fixture{t, d, outbox.NewRepository(d)}) })
}

func (f *fixture) within(do func(tx db.Tx) error) error { return f.d.Transaction(f.t.Context(), do) }

func (f *fixture) write(add func(b *db.Batch)) error {
	return f.d.Write(f.t.Context(), func(b *db.Batch) error {
		add(b)
		return nil
	})
}

func (f *fixture) create(rows ...outbox.Entry) error {
	return f.write(func(b *db.Batch) { f.r.Enqueue(b, rows) })
}

// row is due at the given distance from now.
func (f *fixture) row(handler string, in time.Duration) outbox.Entry {
	return outbox.Entry{
		TaskExecutionID: dbtype.NewID(), Handler: handler,
		AvailableAt: dbtype.NewTime(f.d.Now().Add(in)),
	}
}

func (f *fixture) put(rows ...outbox.Entry) {
	f.t.Helper()
	if err := f.create(rows...); err != nil {
		f.t.Fatal(err)
	}
}

// claim claims rows and returns their tasks.
func (f *fixture) claim(tx db.Tx, want outbox.ClaimFilter) (ids []dbtype.ID, err error) {
	b := tx.Batch()
	t, err := f.r.Claim(b, want)
	if err == nil {
		err = b.Send()
	}
	if err == nil {
		ids = tasksOf(t.Rows()...)
	}
	return ids, err
}

func (f *fixture) take(want outbox.ClaimFilter) []dbtype.ID {
	f.t.Helper()
	var ids []dbtype.ID
	err := f.within(func(tx db.Tx) (err error) {
		ids, err = f.claim(tx, want)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return ids
}

// pending gives the tasks that have a row, in the order of the listing.
func (f *fixture) pending() []dbtype.ID {
	f.t.Helper()
	rows, err := f.r.ListPending(f.t.Context(), 0)
	if err != nil {
		f.t.Fatal(err)
	}
	n, err := f.r.CountPending(f.t.Context())
	if err != nil || n != int64(len(rows)) {
		f.t.Fatalf("%d rows are counted (%v) and %d listed", n, err, len(rows))
	}
	return tasksOf(rows...)
}

func tasksOf(rows ...outbox.Entry) []dbtype.ID {
	var ids []dbtype.ID
	for _, r := range rows {
		ids = append(ids, r.TaskExecutionID)
	}
	return ids
}

func (f *fixture) same(what string, want, got []dbtype.ID) {
	f.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

var anyHandler = outbox.ClaimFilter{Handlers: []string{"shell"}, Limit: 100}

func TestModel(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) { dbtest.CheckModel(t, d, "task_outbox", outbox.Entry{}) })
}

// TestTwiceReadyIsAnError: a second row for a task would be work done twice. It is refused with everything of its
// transaction.
func TestTwiceReadyIsAnError(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		first, other := f.row("shell", 0), f.row("shell", 0)
		f.put(first)
		if err := f.create(other, first); err == nil {
			t.Error("a second row was taken")
		}
		if err := f.create(other, other); err == nil {
			t.Error("two rows for one task were taken at once")
		}
		f.same("pending", tasksOf(first), f.pending())
	})
}

// TestTakeWhatIsDue: nothing before its time, and from that instant on.
func TestTakeWhatIsDue(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		now := f.row("shell", -time.Microsecond)
		later := f.row("shell", time.Hour)
		f.put(now, later)
		f.same("due", tasksOf(now), f.take(anyHandler))
		f.same("due again", nil, nilIfEmpty(f.take(anyHandler)))
		f.same("waiting", tasksOf(later), f.pending())
		var exactly []dbtype.ID
		err := f.within(func(tx db.Tx) (err error) {
			tx.Now = later.AvailableAt // the very instant
			exactly, err = f.claim(tx, anyHandler)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		f.same("at its instant", tasksOf(later), exactly)
	})
}

func nilIfEmpty(ids []dbtype.ID) []dbtype.ID {
	if len(ids) == 0 {
		return nil
	}
	return ids
}

// TestTakeInOrder: those due first come first, then those enqueued first, as many as asked for.
func TestTakeInOrder(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		third, fourth, first := f.row("shell", -time.Minute), f.row("shell", 0), f.row("shell", -time.Hour)
		fourth.AvailableAt = third.AvailableAt
		second := f.row("shell", 0)
		second.AvailableAt = first.AvailableAt
		f.put(third, first)
		f.put(fourth)
		f.put(second)
		all := tasksOf(first, second, third, fourth)
		f.same("listed", all, f.pending())
		two := anyHandler
		two.Limit = 2
		f.same("the first two", all[:2], f.take(two))
		f.same("the rest", all[2:], f.take(two))
	})
}

// TestTakeByHandler: a worker takes only what it can run.
func TestTakeByHandler(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		shell, http, gone := f.row("shell", -3*time.Second), f.row("http", -2*time.Second), f.row("gone", -time.Second)
		f.put(shell, http, gone)
		f.same("none", nil, nilIfEmpty(f.take(outbox.ClaimFilter{Limit: 9})))
		f.same("unknown", nil,
			nilIfEmpty(f.take(outbox.ClaimFilter{Handlers: []string{"she", "shel_", "%"}, Limit: 9})))
		f.same("two handlers", tasksOf(shell, http),
			f.take(outbox.ClaimFilter{Handlers: []string{"http", "shell", "other"}, Limit: 9}))
		f.same("left", tasksOf(gone), f.pending())
	})
}

// TestTakeIsUndoneWithItsTransaction: a claim that does not commit leaves the row for the next.
func TestTakeIsUndoneWithItsTransaction(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		row := f.row("shell", 0)
		f.put(row)
		died := errors.New("the worker died")
		err := f.within(func(tx db.Tx) error {
			ids, err := f.claim(tx, anyHandler)
			f.same("taken", tasksOf(row), ids)
			return errors.Join(err, died)
		})
		if !errors.Is(err, died) {
			t.Fatalf("got %v, expected %v", err, died)
		}
		f.same("taken by the next", tasksOf(row), f.take(anyHandler))
	})
}

// TestNextDue says when to look again: never without a row for the worker's handlers.
func TestNextDue(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		due := func(handlers ...string) dbtype.Time {
			t.Helper()
			at, err := f.r.NextDueAt(t.Context(), outbox.ClaimFilter{Handlers: handlers, Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		if at := due("shell"); !at.IsZero() {
			t.Errorf("an empty outbox is due at %s", at)
		}
		late, soon, other := f.row("shell", 2*time.Hour), f.row("shell", time.Hour), f.row("http", -time.Hour)
		f.put(late, soon, other)
		for want, at := range map[dbtype.Time]dbtype.Time{
			soon.AvailableAt: due("shell"), other.AvailableAt: due("shell", "http"), {}: due("gone"),
			late.AvailableAt: dueWithout(f, soon),
		} {
			if !at.Equal(want.Time) {
				t.Errorf("due at %s, expected %s", at, want)
			}
		}
	})
}

// dueWithout asks after a row has been removed.
func dueWithout(f *fixture, row outbox.Entry) dbtype.Time {
	f.t.Helper()
	if n := f.remove(row.TaskExecutionID); n != 1 {
		f.t.Fatalf("%d rows were removed, expected 1", n)
	}
	at, err := f.r.NextDueAt(f.t.Context(), anyHandler)
	if err != nil {
		f.t.Fatal(err)
	}
	return at
}

func (f *fixture) remove(ids ...dbtype.ID) int64 {
	f.t.Helper()
	before := len(f.pending())
	if err := f.write(func(b *db.Batch) { f.r.DeleteByTask(b, ids) }); err != nil {
		f.t.Fatal(err)
	}
	return int64(before - len(f.pending()))
}

// TestDeleteByTask removes the rows of these tasks alone, those not due too.
func TestDeleteByTask(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		a, b, keep := f.row("shell", 0), f.row("shell", time.Hour), f.row("shell", 2*time.Hour)
		f.put(a, b, keep)
		if n := f.remove(a.TaskExecutionID, b.TaskExecutionID, dbtype.NewID()); n != 2 {
			t.Errorf("%d rows were removed, expected 2", n)
		}
		if n := f.remove(a.TaskExecutionID); n != 0 {
			t.Errorf("%d rows were removed a second time", n)
		}
		if n := f.remove(); n != 0 {
			t.Errorf("%d rows were removed for no task", n)
		}
		f.same("left", tasksOf(keep), f.pending())
	})
}

// TestManyRows: more than one statement holds on either database.
func TestManyRows(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		rows := make([]outbox.Entry, 1234)
		for i := range rows {
			rows[i] = f.row("shell", time.Duration(i-len(rows))*time.Second)
		}
		f.put(rows...)
		limited, err := f.r.ListPending(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		f.same("the first seven", tasksOf(rows[:7]...), tasksOf(limited...))
		f.same("all", tasksOf(rows...), f.pending())
		if n := f.remove(tasksOf(rows[1000:]...)...); n != 234 {
			t.Errorf("%d rows were removed, expected 234", n)
		}
		want := anyHandler
		want.Limit = 5000
		f.same("taken", tasksOf(rows[:1000]...), f.take(want))
	})
}
