package audit

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// chains saves completed executions, and returns an auditor that reads each of them as a page of its own.
func chains(t *testing.T, d *db.DB, n int) ([]*sim, *Auditor) {
	t.Helper()
	var all []*sim
	for range n {
		s := chain(3)
		save(t, d, s)
		all = append(all, s)
	}
	a := New(d)
	a.pagePipelines = 1
	return all, a
}

// TestSideBySide checks that the report is the same for any number of workers and any size of pages.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		all, a := chains(t, d, 12)
		for _, s := range []*sim{all[3], all[4], all[9]} {
			exec(t, d, `UPDATE {task_executions} SET attempt = 7 WHERE pipeline_execution_id = $p`, db.Args{"p": s.pid})
		}
		want, err := New(d).Verify(t.Context(), Options{})
		if err != nil || len(want.Breaches) != 9 {
			t.Fatalf("%v\n%s", err, want)
		}
		for _, workers := range []int{1, 2, 5} {
			a.workers = workers
			for _, most := range []int{0, 4} {
				got, err := a.Verify(t.Context(), Options{MaxViolations: most})
				if err != nil {
					t.Fatal(err)
				}
				expected := want.Breaches
				if most > 0 {
					expected = expected[:most]
				}
				if diff := cmp.Diff(expected, got.Breaches); diff != "" || got.Truncated != (most > 0) || most == 0 &&
					got.Events != want.Events {
					t.Errorf("%d workers, at most %d breaches (-want +got):\n%s\n%s", workers, most, diff,
						got.Summary())
				}
			}
		}
	})
}

// TestGoesOn checks that a verification that is interrupted anywhere and then continued finds the same as one without
// an interruption.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		all, a := chains(t, d, 6)
		exec(t, d, `UPDATE {task_executions} SET attempt = 7 WHERE pipeline_execution_id = $p`,
			db.Args{"p": all[1].pid})
		want, err := a.Verify(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for stop := 1; stop <= 5; stop++ {
			ctx, cancel := context.WithCancel(t.Context())
			var last State
			pages := 0
			_, err := a.Verify(ctx, Options{SaveState: func(s State) {
				if pages++; pages <= stop {
					last = s
				}
				if pages == stop {
					cancel()
				}
			}})
			cancel()
			if pages < 6 && !errors.Is(err, context.Canceled) {
				t.Fatalf("interrupted after %d pages: %v", pages, err)
			}
			if last.After != all[stop-1].pid || last.Report.Executions != stop {
				t.Fatalf("after %d pages the place is %s and %d executions", stop, last.After, last.Report.Executions)
			}
			got, err := a.Verify(t.Context(), Options{From: last})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("from page %d on (-want +got):\n%s", stop, diff)
			}
		}
	})
}

// TestSince checks that older executions are left out, and open ones never.
func TestSince(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		old, recent, open := chain(2), chain(2), startSim(simSpec{name: "a"})
		for _, s := range []*sim{old, recent, open} {
			save(t, d, s)
		}
		since := dbtype.NewTime(recent.ended.Add(1e9))
		for _, s := range []*sim{old, open} {
			exec(t, d, `UPDATE {pipeline_executions} SET open_tasks = 9, created_at = $at WHERE id = $p`,
				db.Args{"p": s.pid, "at": dbtype.NewTime(old.created.Add(-1e15))})
		}
		exec(t, d, `UPDATE {pipeline_executions} SET completed_at = $at WHERE id = $p`,
			db.Args{"p": recent.pid, "at": since})
		r, err := New(d).Verify(t.Context(), Options{Since: since})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[dbtype.ID]bool{}
		for _, b := range r.Breaches {
			seen[b.PipelineExecutionID] = true
		}
		if r.Executions != 2 || seen[old.pid] || !seen[recent.pid] || !seen[open.pid] {
			t.Errorf("%s", r)
		}
	})
}

// TestBlocksNoWriter checks that writers can commit while a page is read, and that the page still shows one moment.
func TestBlocksNoWriter(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := chain(3)
		save(t, d, s)
		r := &run{report: Report{Breaches: []Violation{}}}
		err := New(d).snapshot(t.Context(), func(g *gorm.DB) error {
			p := newPage(g, r, nil)
			if err := p.loadPipelines(10, 10); err != nil {
				return err
			}
			exec(t, d, `UPDATE {task_executions} SET status = 'Running' WHERE pipeline_execution_id = $p`,
				db.Args{"p": s.pid})
			exec(t, d, `DELETE FROM {execution_events} WHERE pipeline_execution_id = $p`, db.Args{"p": s.pid})
			save(t, d, chain(2))
			return p.examine()
		})
		if err != nil || !r.report.OK() || r.report.Executions != 1 || r.report.Events != len(s.events) {
			t.Errorf("%v\n%s", err, r.report)
		}
		if after := verify(t, d, Options{}); after.OK() || after.Executions != 2 {
			t.Errorf("what was written meanwhile is not there:\n%s", after)
		}
	})
}

// TestEventsAround checks that a breach shows the events before it, the event itself, and the events after it.
func TestEventsAround(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := chain(1)
		save(t, d, s)
		exec(t, d, `UPDATE {execution_events} SET event_type = 'task_skipped' WHERE pipeline_execution_id = $p
  AND event_type = 'task_claimed'`, db.Args{"p": s.pid})
		r := verify(t, d, Options{})
		if len(r.Breaches) == 0 {
			t.Fatal("no breach")
		}
		var before, here, after int
		for _, e := range r.Breaches[0].Events {
			switch {
			case e.Here:
				here++
			case here == 0:
				before++
			default:
				after++
			}
		}
		if before != 2 || here != 1 || after != 2 {
			t.Errorf("%d events before, %d of it, %d after:\n%s", before, here, after, r)
		}
	})
}
