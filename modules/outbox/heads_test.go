package outbox_test

import (
	"testing"
	"time"

	"sluice/modules/outbox"
	"sluice/platform/db"
)

// TestHeadsMissNothing: looks that begin where the last one ended find what comes later at once, and what is committed late, due
// before all that has been taken, in the next look from the beginning.
func TestHeadsMissNothing(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		var heads outbox.Heads
		want := anyHandler
		want.Limit, want.Heads = 10, &heads
		take := func() []db.ID { return f.take(want) }
		first, second := f.row("shell", -time.Hour), f.row("shell", -time.Minute)
		f.put(first, second)
		f.same("a look from the beginning", tasksOf(first, second), take())
		if _, partial := heads.Rest(f.d.Now()); partial {
			t.Error("the first look was none from the beginning")
		}
		third := f.row("shell", -time.Millisecond)
		f.put(third)
		f.same("a look from the head", tasksOf(third), take())
		if _, partial := heads.Rest(f.d.Now()); !partial {
			t.Error("the second look was one from the beginning")
		}
		late := f.row("shell", -30*time.Minute)
		f.put(late)
		f.same("what was committed late, looked for from the head", nil, nilIfEmpty(take()))
		if at, err := f.r.NextDue(t.Context(), want); err != nil || !at.IsZero() {
			t.Errorf("from the head, %s is due next (%v)", at, err)
		}
		deadline := f.d.Now().Add(time.Minute)
		var got []db.ID
		for rest, partial := heads.Rest(f.d.Now()); len(got) == 0; rest, partial = heads.Rest(f.d.Now()) {
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
		heads.Forget()
		if got := take(); len(got) != 1 {
			t.Errorf("after Forget %d rows were found", len(got))
		}
	})
}

// TestNextDueFindsWhatIsLate: and has the next look begin at it.
func TestNextDueFindsWhatIsLate(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		var heads outbox.Heads
		want := anyHandler
		want.Limit, want.Heads = 10, &heads
		f.take(want)
		late := f.row("shell", -time.Hour)
		f.put(late)
		rest, _ := heads.Rest(f.d.Now())
		<-time.After(max(rest, 0))
		if at, err := f.r.NextDue(t.Context(), want); err != nil || at.IsZero() {
			t.Errorf("%s is due next (%v)", at, err)
		}
		f.same("then", tasksOf(late), f.take(want))
	})
}
