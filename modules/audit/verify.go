package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Verify checks the invariants in the context's tenant, over all executions or those that the options select. Each page
// is read in its own snapshot, so each concurrent transaction is seen completely or not at all, and memory is bounded
// by the page. A breach is not an error. Verify returns ErrNotFound, errors of the database, or the context's
// error, each with the report so far.
func (a *Auditor) Verify(ctx context.Context, o Options) (Report, error) {
	r := &run{options: o, now: a.db.Now(), report: Report{Breaches: []Violation{}, Unheld: []UnclaimedRunning{}}}
	if !o.From.After.IsZero() {
		r.report = o.From.Report
		r.report.Unheld = append([]UnclaimedRunning{}, r.report.Unheld...)
	}
	var err error
	if o.Progress != nil {
		if r.report.Total, err = a.total(ctx, o); err != nil {
			return r.report, err
		}
	}
	if len(o.IDs) > 0 {
		err = a.verifyIDs(ctx, r)
	} else {
		err = a.verifyAll(ctx, r)
	}
	r.report.scope(o)
	return r.report, err
}

// snapshot calls fn with a handle whose reads all see the same moment.
func (a *Auditor) snapshot(ctx context.Context, fn func(g *gorm.DB) error) error {
	return a.db.Snapshot(ctx, func(ctx context.Context) error {
		g, err := a.db.Handle(ctx)
		if err != nil {
			return err
		}
		return fn(g)
	})
}

// VerifyIn checks executions as a transaction sees them, including what it has written and not committed. It stops
// after a thousand breaches.
func (a *Auditor) VerifyIn(tx db.Tx, ids []dbtype.ID) (Report, error) {
	o := Options{IDs: ids, MaxViolations: 1000}
	r := &run{options: o, report: Report{Breaches: []Violation{}, Unheld: []UnclaimedRunning{}}}
	err := a.snapshot(tx.Context(), func(g *gorm.DB) error {
		for chunk := range slices.Chunk(ids, a.pagePipelines) {
			part := chunk
			for len(part) > 0 && !r.full() {
				p := newPage(g, r, nil)
				p.among = part
				if err := p.loadPipelines(len(part), a.pageTasks); err != nil {
					return err
				}
				if len(p.pipelines) == 0 {
					return fmt.Errorf("%w: %s", ErrNotFound, part[0])
				}
				p.among = part[:len(p.pipelines)]
				if err := p.examine(); err != nil {
					return err
				}
				part = part[len(p.pipelines):]
			}
			if err := checkDefinitions(g, r, chunk); err != nil {
				return err
			}
		}
		return nil
	})
	r.report.scope(o)
	return r.report, err
}

// run collects the findings of one verification or of one page.
type run struct {
	options Options
	now     time.Time // the database's time
	report  Report
}

func (r *run) full() bool { return r.report.Truncated }

func (r *run) add(b Violation) {
	if r.options.MaxViolations > 0 && len(r.report.Breaches) >= r.options.MaxViolations {
		r.report.Truncated = true
		return
	}
	if b.Events == nil {
		b.Events = []EventRef{}
	}
	r.report.Breaches = append(r.report.Breaches, b)
}

// merge adds the findings of a page.
func (r *run) merge(page Report) {
	t := &r.report
	t.Executions, t.Tasks, t.Events, t.OutboxRows = t.Executions+page.Executions, t.Tasks+page.Tasks,
		t.Events+page.Events, t.OutboxRows+page.OutboxRows
	t.Retained, t.NoOutputs, t.Seals = t.Retained+page.Retained, t.NoOutputs+page.NoOutputs, t.Seals+page.Seals
	t.SealedHistories, t.SealedContents = t.SealedHistories+page.SealedHistories, t.SealedContents+page.SealedContents
	for _, b := range page.Breaches {
		r.add(b)
	}
	t.Unheld = append(t.Unheld, page.Unheld...)
	t.Truncated = t.Truncated || page.Truncated
}

func (r *run) progress() {
	if r.options.Progress != nil {
		r.options.Progress(r.report)
	}
}

func (a *Auditor) verifyIDs(ctx context.Context, r *run) error {
	for _, id := range r.options.IDs {
		err := a.snapshot(ctx, func(g *gorm.DB) error {
			p := newPage(g, r, nil)
			p.only = id
			if err := p.loadPipelines(1, 1); err != nil {
				return err
			}
			if len(p.pipelines) == 0 {
				return fmt.Errorf("%w: %s", ErrNotFound, id)
			}
			return p.examine()
		})
		if err != nil {
			return err
		}
		r.progress()
	}
	return a.snapshot(ctx, func(g *gorm.DB) error { return checkDefinitions(g, r, r.options.IDs) })
}

// examine reads what belongs to the page's pipelines and checks it.
func (p *page) examine() error {
	if !p.since.IsZero() && len(p.pipelines) == 0 {
		return nil
	}
	if err := p.loadTasks(); err != nil {
		return err
	}
	if err := p.loadEvents(); err != nil {
		return err
	}
	if err := p.loadContents(); err != nil {
		return err
	}
	p.run.report.Executions += len(p.pipelines)
	for _, x := range p.pipelines {
		p.checkPipeline(x)
		if err := p.checkForeignTasks(x); err != nil {
			return err
		}
	}
	p.checkOrphanRows()
	return p.checkUnheld()
}

// orphanedOutbox finds outbox rows whose task does not exist. All others have been checked with their tasks.
func orphanedOutbox(g *gorm.DB, r *run) error {
	columns := []string{"id", "task_execution_id"}
	query := fmt.Sprintf(
		"SELECT o.id, o.task_execution_id FROM %s AS o LEFT JOIN %s AS t ON t.id = o.task_execution_id WHERE t.id IS "+
			"NULL ORDER BY o.id",
		table(g, "task_outbox"), table(g, "task_executions"))
	err := scan(g, columns, query, nil, func(x *rawRow) {
		r.report.OutboxRows++
		id := dbtype.ID{}
		if task := x.id(1); x.bad == nil {
			id = task
		}
		r.add(Violation{
			Invariant: I4, TaskExecutionID: id,
			Found: fmt.Sprintf("outbox row %s for the task %s, which does not exist", &x.cells[0],
				idText(&x.cells[1], id)), Expected: "no such row",
		})
	})
	if err != nil {
		return fmt.Errorf("look for stray outbox rows: %w", err)
	}
	return nil
}

func idText(c *rawValue, id dbtype.ID) string {
	if id.IsZero() {
		return c.String()
	}
	return id.String()
}

// total counts the executions to check, for the display of progress.
func (a *Auditor) total(ctx context.Context, o Options) (n int, err error) {
	if len(o.IDs) > 0 {
		return len(o.IDs), nil
	}
	err = a.snapshot(ctx, func(g *gorm.DB) error {
		where, args := (&page{since: o.Since}).chosen()
		return g.Raw("SELECT count(*) FROM "+table(g, "pipeline_executions")+" WHERE "+where, args...).Row().Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("count pipeline executions: %w", err)
	}
	return n, nil
}
