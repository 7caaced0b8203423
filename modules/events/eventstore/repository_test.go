package eventstore_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// each runs a test with a history that belongs to no execution, because this package does not use executions. Tests
// of modules/pipelines cover both together.
func each(t *testing.T, run func(t *testing.T, d *db.DB, r *eventstore.Repository)) {
	t.Helper()
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) { run(t, d, eventstore.NewRepository(d)) })
}

func add(t *testing.T, d *db.DB, r *eventstore.Repository, list ...events.Event) dbtype.Time {
	t.Helper()
	var now dbtype.Time
	err := d.Write(t.Context(), func(b *db.Batch) error {
		now = b.Tx().Now
		r.Append(b, list)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func list(t *testing.T, r *eventstore.Repository, f eventstore.Filter) []events.Event {
	t.Helper()
	out, err := r.List(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func about(pipeline dbtype.ID, x events.Type) events.Event {
	v := int64(1)
	return events.Event{PipelineExecutionID: pipeline, EventType: x, Version: &v, EventData: dbtype.JSON(`{}`)}
}

func TestModel(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) { dbtest.CheckModel(t, d, "execution_events", events.Event{}) })
}

// TestAppendKeepsEverything checks that events are read as they were given, with NULL for empty fields, and that
// Append sets the number, the id and the time.
func TestAppendKeepsEverything(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *eventstore.Repository) {
		version, pipeline := int64(7), dbtype.NewID()
		full := events.Event{
			PipelineExecutionID: pipeline, TaskExecutionID: dbtype.NewID(), EventType: events.TaskFailed,
			Version:   &version,
			EventData: dbtype.JSON(`{"error": "it's \"bad\" ünï"}`), WorkerID: "worker-1", Actor: "somebody",
			SequenceNum: 99, ID: dbtype.NewID(), CreatedAt: dbtype.NewTime(time.Unix(1, 0)), // not the caller's to set
		}
		bare := events.Event{PipelineExecutionID: pipeline, EventType: events.Annotation, EventData: dbtype.JSON(`{}`)}
		now := add(t, d, r, full, bare)
		got := list(t, r, eventstore.Filter{PipelineExecutionID: pipeline})
		if len(got) != 2 {
			t.Fatalf("%d events, expected 2", len(got))
		}
		for i, e := range got {
			if e.ID.IsZero() || e.ID == full.ID || e.SequenceNum <= 0 || e.SequenceNum == 99 ||
				!e.CreatedAt.Equal(now.Time) {
				t.Errorf("event %d has the id %s, the number %d and the time %s", i, e.ID, e.SequenceNum, e.CreatedAt)
			}
		}
		if got[0].SequenceNum >= got[1].SequenceNum || got[0].ID == got[1].ID {
			t.Error("the events are not in the order given, or not told apart")
		}
		clear := func(e events.Event) events.Event {
			e.SequenceNum, e.ID, e.CreatedAt = 0, dbtype.ID{}, dbtype.Time{}
			return e
		}
		if diff := cmp.Diff([]events.Event{clear(full), bare},
			[]events.Event{clear(got[0]), clear(got[1])}); diff != "" {
			t.Errorf("events (-given +read):\n%s", diff)
		}
	})
}

// TestAppendIsPartOfItsTransaction checks that an event of a failed transaction does not exist.
func TestAppendIsPartOfItsTransaction(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *eventstore.Repository) {
		failed := errors.New("something else failed")
		err := d.Transaction(t.Context(), func(tx db.Tx) error {
			b := tx.Batch()
			r.Append(b, []events.Event{about(dbtype.NewID(), events.TaskClaimed)})
			return errors.Join(b.Send(), failed)
		})
		if !errors.Is(err, failed) {
			t.Fatalf("got %v, expected %v", err, failed)
		}
		if got := list(t, r, eventstore.Filter{}); len(got) != 0 {
			t.Errorf("%d events remain", len(got))
		}
	})
}

// TestAppendRefused checks that an event that cannot be written leads to an error that names the operation.
func TestAppendRefused(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *eventstore.Repository) {
		bad := about(dbtype.NewID(), events.TaskClaimed)
		bad.EventData = nil
		err := d.Write(t.Context(), func(b *db.Batch) error {
			r.Append(b, []events.Event{about(dbtype.NewID(), events.TaskClaimed), bad})
			return nil
		})
		if !errors.Is(err, db.ErrDataRejected) || !strings.Contains(err.Error(), "append events: ") {
			t.Errorf("an event without data: got %v, expected an error of appending", err)
		}
		if got := list(t, r, eventstore.Filter{}); len(got) != 0 {
			t.Errorf("%d events were written", len(got))
		}
		add(t, d, r) // no error without an event
	})
}

// TestAppendMany checks that more events than one statement holds keep their order, and that none is lost.
func TestAppendMany(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *eventstore.Repository) {
		pipeline := dbtype.NewID()
		many := make([]events.Event, 2345)
		for i := range many {
			v := int64(i + 1)
			many[i] = about(pipeline, events.TaskClaimed)
			many[i].Version = &v
		}
		add(t, d, r, many...)
		got := list(t, r, eventstore.Filter{PipelineExecutionID: pipeline})
		if len(got) != len(many) {
			t.Fatalf("%d events, expected %d", len(got), len(many))
		}
		for i, e := range got {
			if *e.Version != int64(i+1) {
				t.Fatalf("event %d has version %d", i, *e.Version)
			}
		}
	})
}

// TestListByEveryType checks that a filter by any type finds its events. The types that the index leaves out are
// named in three places, which must agree.
func TestListByEveryType(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *eventstore.Repository) {
		pipeline := dbtype.NewID()
		for _, x := range events.Types() {
			add(t, d, r, about(pipeline, x), about(dbtype.NewID(), x))
		}
		for _, x := range events.Types() {
			if got := list(t, r, eventstore.Filter{EventType: x}); len(got) != 2 || got[0].EventType != x ||
				got[1].EventType != x {
				t.Errorf("by type %s: %d events", x, len(got))
			}
			if got := list(t, r, eventstore.Filter{EventType: x, PipelineExecutionID: pipeline}); len(got) != 1 ||
				got[0].PipelineExecutionID != pipeline {
				t.Errorf("by type %s and execution: %d events", x, len(got))
			}
		}
		if got := list(t, r, eventstore.Filter{EventType: "no_such_type"}); len(got) != 0 {
			t.Errorf("%d events of no type", len(got))
		}
	})
}

func TestTypesAreDistinct(t *testing.T) {
	t.Parallel()
	all := events.Types()
	slices.Sort(all)
	if n := len(slices.Compact(slices.Clone(all))); n != len(all) || n != 21 {
		t.Errorf("%d types, %d of them distinct; documented are 21", len(all), n)
	}
}

// TestListIsItsFilter compares listings with a filter in Go, for random histories and random filters.
func TestListIsItsFilter(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *eventstore.Repository) {
		pipelines := []dbtype.ID{dbtype.NewID(), dbtype.NewID(), dbtype.NewID()}
		kinds := []events.Type{events.TaskClaimed, events.TaskDeferred, events.Annotation}
		var all []events.Event
		for range 12 {
			for i, p := range pipelines {
				add(t, d, r, about(p, kinds[(len(all)+i)%len(kinds)]), about(p, kinds[i]))
			}
			all = list(t, r, eventstore.Filter{})
		}
		rapid.Check(t, func(rt *rapid.T) {
			at := rapid.SampledFrom(all).Draw(rt, "at")
			f := eventstore.Filter{
				PipelineExecutionID: rapid.SampledFrom(append(pipelines, dbtype.ID{})).Draw(rt, "pipeline"),
				EventType:           rapid.SampledFrom(append(kinds, "")).Draw(rt, "type"),
				Newest:              rapid.Bool().Draw(rt, "newest"),
			}
			f.Limit = rapid.IntRange(0, 10).Draw(rt, "limit")
			if rapid.Bool().Draw(rt, "after") {
				f.After = at.SequenceNum
			}
			if rapid.Bool().Draw(rt, "since") {
				f.Since = at.CreatedAt
			}
			got, err := r.List(t.Context(), f)
			if err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(chosen(all, f), got); diff != "" {
				rt.Fatalf("filter %+v (-want +got):\n%s", f, diff)
			}
		})
	})
}

// chosen returns the events that a filter should select.
func chosen(all []events.Event, f eventstore.Filter) []events.Event {
	out := []events.Event{}
	all = slices.Clone(all)
	if f.Newest {
		slices.Reverse(all)
	}
	for _, e := range all {
		beyond := f.After == 0 || e.SequenceNum > f.After
		if f.Newest && f.After > 0 {
			beyond = e.SequenceNum < f.After
		}
		if beyond && (f.PipelineExecutionID.IsZero() || e.PipelineExecutionID == f.PipelineExecutionID) &&
			(f.EventType == "" || e.EventType == f.EventType) &&
			(f.Since.IsZero() || !e.CreatedAt.Before(f.Since.Time)) &&
			(f.Limit == 0 || len(out) < f.Limit) {
			out = append(out, e)
		}
	}
	return out
}
