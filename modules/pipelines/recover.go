package pipelines

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// MaxRecoveries is how often a task may be taken from a worker that died with it.
const MaxRecoveries = 3

// Recover takes the tasks of workers whose lease has expired back, all in one transaction, and removes the workers. It returns
// the number of tasks. An execution whose definition is gone is ended first, in a transaction of its own, so that it does not keep
// the others from coming back.
func (e *Engine) Recover(ctx context.Context) (int, error) {
	if found, err := e.leases.AnyExpired(ctx); err != nil || !found {
		return 0, err
	}
	for {
		n, err := e.recoverExpired(ctx)
		var gone *goneError
		if !errors.As(err, &gone) {
			return n, err
		}
		if err := e.abandon(ctx, gone.id, gone.Error()); err != nil {
			return 0, err
		}
	}
}

// goneError is errDefinitionGone, and of which execution.
type goneError struct {
	id  db.ID
	err error
}

func (e *goneError) Error() string { return e.err.Error() }
func (e *goneError) Unwrap() error { return e.err }

func (e *Engine) recoverExpired(ctx context.Context) (int, error) {
	recovered, ready := 0, 0
	err := e.db.Transaction(ctx, func(tx db.Tx) error {
		recovered, ready = 0, 0
		dead, err := e.leases.Expired(tx)
		if err != nil || len(dead) == 0 {
			return err
		}
		held, err := e.tasks.HeldBy(tx, dead)
		if err != nil {
			return err
		}
		recovered = len(held)
		if ready, err = e.recover(ctx, tx, held); err != nil {
			return err
		}
		return e.leases.Delete(tx, dead)
	})
	if err != nil {
		return 0, err
	}
	if recovered > 0 {
		e.waker.committed(ctx, ready > 0)
	}
	return recovered, nil
}

// Held gives the tasks that are Running in a worker's name, without their outputs.
func (e *Engine) Held(ctx context.Context, worker string) (held []tasks.Task, err error) {
	err = e.db.Transaction(ctx, func(tx db.Tx) error {
		held, err = e.tasks.HeldBy(tx, []string{worker})
		return err
	})
	return held, err
}

// lost is what becomes of a task whose worker is gone: it is given up once it has lost too many, for it may be what kills them.
func lost(t tasks.Task, now db.Time) *tasks.Move {
	if t.Recoveries >= MaxRecoveries {
		return tasks.Begin(t).Abandon(fmt.Sprintf("lost with its worker %d times", t.Recoveries+1), now)
	}
	return t.Recover(now)
}

// recover takes tasks from their workers.
func (e *Engine) recover(ctx context.Context, tx db.Tx, held []tasks.Task) (ready int, err error) {
	var pipelines []db.ID
	holder := map[db.ID]tasks.Task{}
	for _, t := range held {
		pipelines, holder[t.ID] = append(pipelines, t.PipelineExecutionID), t
	}
	tx.Notify(TopicEnded)
	locked, err := e.pipelines.lock(tx, distinct(pipelines))
	if err != nil {
		return 0, err
	}
	var plans []*plan
	for _, id := range distinct(pipelines) {
		p, err := e.whole(ctx, tx, locked[id])
		if isGone(err) {
			return 0, &goneError{id, err}
		}
		if err != nil {
			return 0, fmt.Errorf("pipeline execution %s: %w", id, err)
		}
		for i := range p.def.Tasks {
			n := p.nodes[p.def.Tasks[i].ID]
			if h, ok := holder[n.task.ID]; !ok || n.task.Version != h.Version {
				continue // ended between being found and being locked
			}
			p.take(n, lost(n.task, tx.Now))
		}
		if err := p.propagate(); err != nil {
			return 0, err
		}
		plans = append(plans, p)
	}
	_, ready, err = e.write(tx, plans)
	return ready, err
}
