package audit

import (
	"context"
	"errors"
	"sync"

	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// pageToken is where the next page begins. The worker that holds it reads which executions are in the page, and passes
// on the place after them. So pages follow each other without a gap while they are checked concurrently.
type pageToken struct {
	after any // an id; nil: at the first
	page  int
	end   bool // there are no more pages
}

// parallelRun is a verification of all executions by several workers.
type parallelRun struct {
	auditor *Auditor
	next    chan pageToken // holds one place

	mu      sync.Mutex
	run     *run
	waiting map[int]done // pages that were checked before an earlier one
	merged  int
	errs    []error
}

// done is a checked page, and the id at its end, which is zero for the last page.
type done struct {
	report Report
	upto   dbtype.ID
}

func (a *Auditor) verifyAll(ctx context.Context, r *run) error {
	s := &parallelRun{auditor: a, next: make(chan pageToken, 1), run: r, waiting: map[int]done{}}
	first := pageToken{}
	if id := r.options.From.After; !id.IsZero() {
		first.after = id
	}
	s.next <- first
	var workers sync.WaitGroup
	for range a.workers {
		workers.Go(func() {
			for s.page(ctx) {
			}
		})
	}
	workers.Wait()
	switch {
	case len(s.errs) > 0:
		return errors.Join(s.errs...)
	case r.full():
		return nil
	}
	return a.snapshot(ctx, func(g *gorm.DB) error {
		if err := checkDefinitions(g, r, nil); err != nil || !r.options.Since.IsZero() {
			return err
		}
		return orphanedOutbox(g, r)
	})
}

// page checks the next page, and reports whether there may be more.
func (s *parallelRun) page(ctx context.Context) (more bool) {
	here := <-s.next
	if here.end || s.stopped() {
		s.next <- pageToken{end: true}
		return false
	}
	handed := false
	hand := func(p pageToken) {
		if !handed {
			handed = true
			s.next <- p
		}
	}
	r := &run{
		options: Options{MaxViolations: s.run.options.MaxViolations}, now: s.run.now,
		report: Report{Breaches: []Violation{}},
	}
	var upto any
	err := s.auditor.snapshot(ctx, func(g *gorm.DB) error {
		p := newPage(g, r, here.after)
		p.since = s.run.options.Since
		if err := p.loadPipelines(s.auditor.pagePipelines, s.auditor.pageTasks); err != nil {
			return err
		}
		upto = p.upto
		hand(pageToken{after: upto, page: here.page + 1, end: upto == nil})
		return p.examine()
	})
	hand(pageToken{end: true})
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.errs = append(s.errs, err)
		return false
	}
	s.finish(here.page, done{r.report, idOf(upto)})
	return true
}

func (s *parallelRun) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run.full() || len(s.errs) > 0
}

// finish merges pages in their order, so that the report does not depend on the number of workers.
func (s *parallelRun) finish(page int, d done) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[page] = d
	for {
		d, ok := s.waiting[s.merged]
		if !ok || s.run.full() {
			return
		}
		delete(s.waiting, s.merged)
		s.merged++
		s.run.merge(d.report)
		s.run.progress()
		if s.run.options.SaveState != nil && !d.upto.IsZero() {
			s.run.options.SaveState(State{d.upto, s.run.report})
		}
	}
}

// idOf returns the bound of a page as an id, or zero if it is not an id.
func idOf(bound any) dbtype.ID {
	var id dbtype.ID
	if err := id.Scan(bound); err != nil {
		return dbtype.ID{}
	}
	return id
}
