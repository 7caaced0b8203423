package retention

import (
	"context"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// sweep processes the executions once for each kind, in the order of their ids.
type sweep struct {
	cleaner  *Cleaner
	holder   string // of the chore; empty if the pass needs no chore
	progress func(Result)
	sums     map[string]*Result // by pipeline and kind
}

// kind removes one kind of data from all executions that ended before their cutoff, batch by batch.
func (p *sweep) kind(ctx context.Context, kind Kind, list []cutoff) error {
	if len(list) == 0 {
		return nil
	}
	var after dbtype.ID
	for {
		found, err := p.cleaner.store.candidates(ctx, kind, list, after)
		if err != nil || len(found) == 0 {
			return err
		}
		for len(found) > 0 {
			n := batch(found)
			took, err := p.remove(ctx, kind, found[:n])
			if err != nil {
				return err
			}
			if err := pause(ctx, took); err != nil {
				return err
			}
			after, found = found[n-1].id, found[n:]
		}
	}
}

// batch returns how many candidates, from the first, fit in one batch.
func batch(list []candidate) int {
	sum := int64(0)
	for i, c := range list {
		if sum += c.tasks; sum > tasksPerBatch && i > 0 {
			return i
		}
	}
	return len(list)
}

// remove removes one batch in one transaction. It returns the duration of the transaction.
func (p *sweep) remove(ctx context.Context, kind Kind, list []candidate) (took time.Duration, err error) {
	began := p.cleaner.db.Now()
	var rows map[dbtype.ID]int64
	var held []candidate
	err = p.cleaner.db.Transaction(ctx, func(tx db.Tx) (err error) {
		if p.holder != "" {
			if err := p.cleaner.chores.Renew(tx, chore, p.holder); err != nil {
				return err
			}
		}
		if held, err = p.cleaner.store.lock(tx, list); err != nil || len(held) == 0 {
			return err
		}
		rows, err = p.cleaner.store.remove(tx, kind, held)
		return err
	})
	if err != nil {
		return 0, err
	}
	took = p.cleaner.db.Now().Sub(began)
	for _, c := range held {
		p.add(kind, c.pipeline, rows[c.id])
	}
	return took, nil
}

func (p *sweep) add(kind Kind, pipeline string, rows int64) {
	if rows == 0 {
		return // marked as removed, but it had no rows
	}
	key := string(kind) + " " + pipeline
	sum, ok := p.sums[key]
	if !ok {
		sum = &Result{PipelineName: pipeline, Kind: kind}
		p.sums[key] = sum
	}
	sum.Executions++
	sum.Rows += rows
	if p.progress != nil {
		p.progress(Result{PipelineName: pipeline, Kind: kind, Executions: 1, Rows: rows})
	}
}

func (p *sweep) removed() []Result {
	list := make([]Result, 0, len(p.sums))
	for _, r := range p.sums {
		list = append(list, *r)
	}
	return sorted(list)
}

// pause waits in proportion to the duration of the last batch, so that running work can proceed.
func pause(ctx context.Context, took time.Duration) error {
	timer := time.NewTimer(min(max(pauseFactor*took, minPause), maxPause))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
