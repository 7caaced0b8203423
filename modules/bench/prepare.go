package bench

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/db"
)

const (
	historyLength = 10                  // tasks of a run of the history, which run one after the other
	historyEvents = 5*historyLength + 2 // events of such a run
	pendingWidth  = 100                 // tasks of a pending run
	prepareAhead  = 10_000              // maximum number of open tasks
)

// prepare creates the history and the pending tasks that exist before the measurement. It uses the engine, so the data
// is the same as that of real runs.
func (b *Bench) prepare(ctx context.Context, p Plan) error {
	if n := p.config.History; n > 0 {
		graph, err := Chain.Graph(historyLength, 1)
		if err != nil {
			return err
		}
		l := load{runs: (n + historyEvents - 1) / historyEvents, ahead: prepareAhead}
		if l.def, err = define(b.deps.Workers.Handlers, "bench-history", graph,
			definition.Task{Uses: handlerName}); err != nil {
			return err
		}
		if err := b.run(ctx, p, "making history", l); err != nil {
			return err
		}
	}
	inAYear := definition.Task{Uses: "sleep", With: json.RawMessage(`{"duration": "365d"}`)}
	elsewhere := definition.Task{Uses: handlerName, Queue: "bench-unserved"}
	half := p.config.Pending / 2
	err := b.pend(half, "bench-in-a-year", inAYear, func(l load) error {
		l.ahead = prepareAhead
		return b.run(ctx, p, "deferring", l)
	})
	if err != nil {
		return err
	}
	return b.pend(p.config.Pending-half, "bench-unserved", elsewhere, func(l load) error { return b.feed(ctx, l) })
}

// pend calls use with loads of n tasks in total, which are copies of template. It uses whole runs of pendingWidth tasks
// and one run for the rest.
func (b *Bench) pend(n int, name string, template definition.Task, use func(load) error) error {
	for _, part := range []struct{ runs, width int }{{n / pendingWidth, pendingWidth}, {1, n % pendingWidth}} {
		if part.runs == 0 || part.width == 0 {
			continue
		}
		graph, err := Wide.Graph(0, part.width)
		if err != nil {
			return err
		}
		l := load{runs: part.runs}
		if l.def, err = define(b.deps.Workers.Handlers, name, graph, template); err != nil {
			return err
		}
		if err := use(l); err != nil {
			return err
		}
	}
	return nil
}

// hold opens a snapshot in a separate connection and keeps it open until release is called or ctx ends.
func hold(ctx context.Context, url string) (release func() error, err error) {
	d, err := db.OpenExisting(ctx, url)
	if err != nil {
		return nil, err
	}
	end, taken, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- d.Snapshot(ctx, func(ctx context.Context) error {
			// the first query takes the snapshot
			err := d.Query(ctx, `SELECT id FROM {task_outbox} LIMIT 1`, nil, func(scan db.Scan) error {
				var id int64
				return scan(&id)
			})
			if err != nil {
				return err
			}
			close(taken)
			select {
			case <-end:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	select {
	case <-taken:
	case err := <-done:
		return nil, errors.Join(err, d.Close())
	}
	return func() error {
		close(end)
		err := <-done
		if ctx.Err() != nil {
			err = nil // the end of ctx has also ended the transaction
		}
		return errors.Join(err, d.Close())
	}, nil
}

// countEvents returns the number of events that prepare has written.
func countEvents(ctx context.Context, d *db.DB, p Plan) (n int64, err error) {
	if p.config.History == 0 && p.config.Pending == 0 {
		return 0, nil
	}
	err = d.Query(ctx, `SELECT count(*) FROM {execution_events}`, nil,
		func(scan db.Scan) error { return scan(&n) })
	return n, err
}

// progressInterval is the interval between two progress reports of a long phase.
const progressInterval = 200 * time.Millisecond

// watch reports the progress of a phase until stop is called.
func (p Plan) watch(ctx context.Context, what string, total int64, done func() int64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for pause(ctx, progressInterval) == nil {
			p.progress(what, done(), total)
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

func (p Plan) progress(what string, done, total int64) {
	if p.config.Progress != nil {
		p.config.Progress(what, done, total)
	}
}
