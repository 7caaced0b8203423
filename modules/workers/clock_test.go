package workers_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// setClock sets the clock of one database of the server: a function of the name that sluice reads it by takes the place
// of the server's. The first call comes before anything reads the clock.
func setClock(t *testing.T, admin *db.DB, ahead string, first bool) {
	t.Helper()
	statements := []string{`SET LOCAL allow_system_table_mods = on`}
	if first {
		statements = append(statements, `ALTER FUNCTION pg_catalog.clock_timestamp() RENAME TO clock_of_the_server`)
	}
	statements = append(statements,
		`CREATE OR REPLACE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
'SELECT pg_catalog.clock_of_the_server() + interval ''`+ahead+`'''`)
	dbtest.Exec(t, admin, statements...)
}

// TestDatabaseClockIsSet: the database's clock is set an hour forward and back again under workers that live. They
// follow it, and take nothing from each other; what is started meanwhile is due at once for whoever follows it, and by
// the clock that it was started by.
func TestDatabaseClockIsSet(t *testing.T) {
	t.Parallel()
	u, ctx, g := dbtest.PostgresURL(t), context.Background(), newGate()
	admin := dbtest.Open(t, u)
	setClock(t, admin, "0", true)
	s, other := enginetest.New(t, dbtest.Open(t, u), g.handler("gate"), &enginetest.Scripted{}),
		enginetest.New(t, dbtest.Open(t, u), &enginetest.Scripted{})
	t.Cleanup(func() { audittest.Check(t, s.DB) })
	held := s.Start(t, ctx, s.Define(t, "held", definition.Task{ID: "a", Uses: "gate"}), "")
	config := workers.Config{Slots: 2, Lease: 900 * time.Millisecond, Poll: 50 * time.Millisecond}
	_, first := observed(t, s, config)
	<-g.entered
	_, second := observed(t, other, config)
	quick := s.Define(t, "quick", step("a", nil))
	follow := func(times int) {
		t.Helper()
		for _, logs := range []*observer.ObservedLogs{first, second} {
			dbtest.Eventually(t, "both have noticed",
				func() bool { return logs.FilterMessage("the database clock was changed").Len() == times })
		}
		if e := s.Wait(t, ctx, s.Start(t, ctx, quick, "")); e.Status != pipelines.Completed {
			t.Errorf("status %s", e.Status)
		}
	}
	setClock(t, admin, "1 hour", false)
	follow(1)
	command := enginetest.New(t, dbtest.Open(t, u), &enginetest.Scripted{}) // its clock is the one that is ahead
	setClock(t, admin, "0", false)
	follow(2)
	ahead := command.Start(t, ctx, quick, "")
	rows, err := s.Outbox.ListPending(ctx, 0)
	must(t, err)
	if len(rows) != 1 || rows[0].AvailableAt.Sub(s.DB.Now()).Round(time.Minute) != time.Hour {
		t.Errorf("what was started by the clock that was ahead waits as %+v", rows)
	}
	must(t, s.Engine.Cancel(ctx, engine.ControlRequest{ID: ahead, Actor: "test"}))
	close(g.out)
	if e := s.Wait(t, ctx, held); e.Status != pipelines.Completed {
		t.Errorf("status %s: %s", e.Status, e.Error)
	}
	if x := taskRow(t, s, held, "a"); x.Status != tasks.Completed || x.Attempt != 1 || x.Recoveries != 0 {
		t.Errorf("the task that ran all the time: %+v", x)
	}
}
