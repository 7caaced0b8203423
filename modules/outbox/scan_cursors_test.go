package outbox_test

import (
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestHeadsMissNothing: looks that begin where the last one ended find what comes later at once, and what is committed
// late, due before all that has been taken, in the next look from the beginning.
func TestHeadsMissNothing(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		var heads outbox.ScanCursors
		want := anyHandler
		want.Limit, want.Cursors = 10, &heads
		take := func() []dbtype.ID { return f.take(want) }
		first, second := f.row("shell", -time.Hour), f.row("shell", -time.Minute)
		f.put(first, second)
		f.same("a look from the beginning", tasksOf(first, second), take())
		if _, partial := heads.NextFullScanIn(f.d.Now()); partial {
			t.Error("the first look was none from the beginning")
		}
		third := f.row("shell", -time.Millisecond)
		f.put(third)
		f.same("a look from the head", tasksOf(third), take())
		if _, partial := heads.NextFullScanIn(f.d.Now()); !partial {
			t.Error("the second look was one from the beginning")
		}
		late := f.row("shell", -30*time.Minute)
		f.put(late)
		f.same("what was committed late, looked for from the head", nil, nilIfEmpty(take()))
		if at, err := f.r.NextDueAt(t.Context(), want); err != nil || !at.IsZero() {
			t.Errorf("from the head, %s is due next (%v)", at, err)
		}
		deadline := f.d.Now().Add(time.Minute)
		var got []dbtype.ID
		for rest, partial := heads.NextFullScanIn(f.d.Now()); len(got) == 0; rest,
			partial = heads.NextFullScanIn(f.d.Now()) {
			if f.d.Now().After(deadline) {
				t.Fatal("it is not found within a minute")
			}
			if partial && rest > 0 {
				<-time.After(rest)
			}
			got = take()
		}
		f.same("what was committed late", tasksOf(late), got)
		f.put(f.row("shell", -20*time.Minute))
		heads.Reset()
		if got := take(); len(got) != 1 {
			t.Errorf("after Forget %d rows were found", len(got))
		}
	})
}

// TestNextDueFindsWhatIsLate: and has the next look begin at it.
func TestNextDueFindsWhatIsLate(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		var heads outbox.ScanCursors
		want := anyHandler
		want.Limit, want.Cursors = 10, &heads
		f.take(want)
		late := f.row("shell", -time.Hour)
		f.put(late)
		rest, _ := heads.NextFullScanIn(f.d.Now())
		<-time.After(max(rest, 0))
		if at, err := f.r.NextDueAt(t.Context(), want); err != nil || at.IsZero() {
			t.Errorf("%s is due next (%v)", at, err)
		}
		f.same("then", tasksOf(late), f.take(want))
	})
}

// TestTakeHasRoom: of a handler with little room its most urgent and oldest rows are taken, and all of the others'; and
// a look that left some has the next one find them, wherever they lie.
func TestTakeHasRoom(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		var shells, others []outbox.Entry
		for i := range 20 {
			shells = append(shells, f.row("shell", -time.Hour+time.Duration(i)*time.Minute))
			others = append(others, f.row("other", -time.Hour+time.Duration(i)*time.Minute+time.Second))
		}
		shells[19].Lane = outbox.LaneOf(0) // urgent, though the youngest
		for i := range 19 {
			shells[i].Lane = outbox.LaneOf(1)
		}
		for i := range others {
			others[i].Lane = outbox.LaneOf(1)
		}
		f.put(append(shells, others...)...)
		var heads, alone outbox.ScanCursors
		for _, bulkFirst := range []bool{false, true} {
			want := outbox.ClaimFilter{
				Handlers: []string{"other", "shell"}, Limit: 100, Capacity: map[string]int{"shell": 3, "unasked": 0},
				OverflowFirst: bulkFirst, Cursors: &heads,
			}
			got := f.take(want)
			if !bulkFirst {
				all := append([]outbox.Entry{shells[19], shells[0], others[0], shells[1]}, others[1:]...)
				f.same("the first look", tasksOf(all...), got)
			} else {
				f.same("the second look", tasksOf(shells[2:5]...), got)
			}
			want.Capacity["shell"] = 0
			f.same("without room", nil, nilIfEmpty(f.take(want)))
		}
		want := outbox.ClaimFilter{Handlers: []string{"shell"}, Limit: 1, Cursors: &alone}
		f.same("by itself", tasksOf(shells[5]), f.take(want))
		want = outbox.ClaimFilter{
			Handlers: []string{"other", "shell"}, Limit: 50, Capacity: map[string]int{"shell": 2},
			Cursors: &heads,
		}
		f.same("together", tasksOf(shells[6:8]...), f.take(want))
		want.Capacity = map[string]int{"shell": 50}
		f.same("with room for all", tasksOf(shells[8:19]...), f.take(want))
	})
}
