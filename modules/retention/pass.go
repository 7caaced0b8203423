package retention

import (
	"context"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
)

// pass processes the executions once for each kind, in the order of their ids.
type pass struct {
	keeper   *Keeper
	holder   string // of the chore; empty if the pass needs no chore
	progress func(Removal)
	sums     map[string]*Removal // by pipeline and kind
}

// kind removes one kind of data from all executions that ended before their cutoff, batch by batch.
func (p *pass) kind(ctx context.Context, kind Kind, list []cutoff) error {
	if len(list) == 0 {
		return nil
	}
	var after db.ID
	for {
		found, err := p.keeper.store.find(ctx, kind, list, after)
		if err != nil || len(found) == 0 {
			return err
		}
		for len(found) > 0 {
			n := batch(found)
			took, err := p.remove(ctx, kind, found[:n])
			if err != nil {
				return err
			}
			if err := rest(ctx, took); err != nil {
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
		if sum += c.tasks; sum > mostTasks && i > 0 {
			return i
		}
	}
	return len(list)
}

// remove removes one batch in one transaction. It returns the duration of the transaction.
func (p *pass) remove(ctx context.Context, kind Kind, list []candidate) (took time.Duration, err error) {
	began := p.keeper.db.Now()
	var rows map[db.ID]int64
	var held []candidate
	err = p.keeper.db.Transaction(ctx, func(tx db.Tx) (err error) {
		if p.holder != "" {
			if err := p.keeper.chores.Renew(tx, chore, p.holder); err != nil {
				return err
			}
		}
		if held, err = p.keeper.store.lock(tx, list); err != nil || len(held) == 0 {
			return err
		}
		rows, err = p.keeper.store.remove(tx, kind, held)
		return err
	})
	if err != nil {
		return 0, err
	}
	took = p.keeper.db.Now().Sub(began)
	for _, c := range held {
		p.add(kind, c.pipeline, rows[c.id])
	}
	return took, nil
}

func (p *pass) add(kind Kind, pipeline string, rows int64) {
	if rows == 0 {
		return // marked as removed, but it had no rows
	}
	key := string(kind) + " " + pipeline
	sum, ok := p.sums[key]
	if !ok {
		sum = &Removal{PipelineName: pipeline, Kind: kind}
		p.sums[key] = sum
	}
	sum.Executions++
	sum.Rows += rows
	if p.progress != nil {
		p.progress(Removal{PipelineName: pipeline, Kind: kind, Executions: 1, Rows: rows})
	}
}

func (p *pass) removed() []Removal {
	list := make([]Removal, 0, len(p.sums))
	for _, r := range p.sums {
		list = append(list, *r)
	}
	return sorted(list)
}

// rest waits in proportion to the duration of the last batch, so that running work can proceed.
func rest(ctx context.Context, took time.Duration) error {
	timer := time.NewTimer(min(max(restTimes*took, leastRest), mostRest))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
