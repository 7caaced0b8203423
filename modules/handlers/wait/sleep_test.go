package wait_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

const slept = "created marked_ready claimed started deferred claimed resumed started completed"

// TestSleep checks that one deferral lasts until the end of the sleep, and that the task then continues in the same
// attempt.
func TestSleep(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *enginetest.Stack) {
		ctx := context.Background()
		at := s.DB.Now().Add(8 * time.Second).UTC().Format(time.RFC3339)
		def := s.Define(t, "sleepers", task("nap", "sleep", `{"duration": "250ms"}`),
			task("alarm", "sleep", `{"until": "`+at+`"}`),
			task("nothing", "sleep", `{"duration": "0"}`),
			task("past", "sleep", `{"until": "2001-02-03T04:05:06+02:00"}`))
		s.Work(t, ctx, workers.Config{Slots: 2})
		id := s.Start(t, ctx, def, "")
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Fatalf("status %s", e.Status)
		}
		for name, want := range map[string]string{
			"nap": slept, "alarm": slept, "nothing": "created marked_ready claimed started completed",
			"past": "created marked_ready claimed started completed",
		} {
			types, list := history(t, s, id, name)
			if types != want {
				t.Errorf("%s: %s", name, types)
			}
			if want != slept || types != slept {
				continue
			}
			resume, err := time.Parse(time.RFC3339, field(t, list[4], "resume_at").(string))
			if err != nil {
				t.Fatal(err)
			}
			// A sleep that is over before its deferral is recorded ends at once.
			began, deferred := list[3].CreatedAt.Time, list[4].CreatedAt.Time
			end := began.Add(250 * time.Millisecond)
			if name == "nap" && !resume.Equal(end) && (!resume.Equal(deferred) || deferred.Before(end)) {
				t.Errorf("began at %s, deferred at %s, to resume at %s", began, deferred, resume)
			}
			if got := list[5].CreatedAt.Time; got.Before(resume) {
				t.Errorf("%s: claimed at %s, before %s", name, got, resume)
			}
			if why := field(t, list[4], "reason").(string); !strings.HasPrefix(why, "sleeping ") {
				t.Errorf("reason: %q", why)
			}
			if task := read(t, s, id, name); task.Attempt != 1 {
				t.Errorf("%s took %d attempts", name, task.Attempt)
			}
		}
	})
}

// TestSleepersHoldNoSlot checks that sleeping tasks hold no slot. With one slot, ten tasks sleep for an hour and two
// until the year 2266, while other tasks still run. Rows and history agree on the instants, however distant.
func TestSleepersHoldNoSlot(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *enginetest.Stack) {
		ctx := context.Background()
		var list []definition.Task
		for i := range 10 {
			list = append(list, task(fmt.Sprintf("sleeper%d", i), "sleep", `{"duration": "1h"}`))
		}
		list = append(list, task("long", "sleep", `{"duration": "2100000h"}`),
			task("rare", "wait", `{"file": "/nowhere/parcel", "every": "2100000h"}`))
		order := engine.ControlRequest{ID: s.Start(t, ctx, s.Define(t, "crowd", list...), ""), Actor: "test"}
		s.Work(t, ctx, workers.Config{Slots: 1})
		urgent := s.Start(t, ctx, s.Define(t, "urgent", task("now", "scripted", "{}")), "")
		if e := s.Wait(t, ctx, urgent); e.Status != pipelines.Completed {
			t.Errorf("status %s", e.Status)
		}
		dbtest.Eventually(t, "all sleep", func() bool {
			all, err := s.Tasks.ListByPipeline(ctx, order.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range all {
				if x.SubStatus != tasks.Deferred || x.Attempt != 1 || x.WorkerID != "" {
					return false
				}
			}
			return true
		})
		for _, name := range []string{"long", "rare"} {
			if at := read(t, s, order.ID, name).RetryAt; at.Year() < 2265 {
				t.Errorf("%s goes on at %s", name, at)
			}
		}
		audittest.Check(t, s.DB)
		if err := s.Engine.Cancel(ctx, order); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSleepIsNotBegunAnew checks that the death of a worker after the end of the sleep costs an attempt but does not
// begin a second sleep.
func TestSleepIsNotBegunAnew(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *enginetest.Stack) {
		ctx := context.Background()
		id := s.Start(t, ctx, s.Define(t, "doomed", task("nap", "sleep", `{"duration": "8s"}`)), "")
		stop := s.Work(t, ctx, workers.Config{Slots: 1})
		dbtest.Eventually(t, "it sleeps", func() bool { return read(t, s, id, "nap").SubStatus == tasks.Deferred })
		stop()
		dieWith(t, s, "sleep")
		s.Work(t, ctx, workers.Config{Slots: 1})
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Fatalf("status %s", e.Status)
		}
		const want = "created marked_ready claimed started deferred claimed resumed started reset claimed started " +
			"completed"
		if types, _ := history(t, s, id, "nap"); types != want {
			t.Errorf("history: %s", types)
		}
	})
}

// dieWith claims a due task for a worker that dies at once, and recovers the task.
func dieWith(t *testing.T, s *enginetest.Stack, handler string) {
	t.Helper()
	ctx := context.Background()
	const lease = 5 * time.Second
	worker := leases.Worker{ID: "doomed", Hostname: "here", Slots: 1, Handlers: handler, Queues: tasks.DefaultQueue}
	if _, err := s.Leases.Register(ctx, worker, lease); err != nil {
		t.Fatal(err)
	}
	want := outbox.ClaimFilter{Handlers: []string{handler}, Queues: []string{tasks.DefaultQueue}, Limit: 1}
	dbtest.Eventually(t, "it is due", func() bool {
		renewed, err := s.Leases.Renew(ctx, worker.ID, lease)
		if err != nil {
			t.Fatal(err)
		}
		claims, err := s.Engine.Claim(ctx,
			engine.ClaimRequest{Worker: worker.ID, LeaseExpiresAt: renewed.ExpiresAt, Want: want})
		if err != nil {
			t.Fatal(err)
		}
		return len(claims) == 1
	})
	dbtest.Eventually(t, "it is taken back", func() bool {
		n, err := s.Engine.Recover(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return n == 1
	})
}
