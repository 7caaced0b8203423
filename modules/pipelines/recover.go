package pipelines

import (
	"context"
	"fmt"
	"slices"

	"sluice/modules/tasks"
	"sluice/platform/db"
)

// MaxRecoveries is how often a task may be taken from a worker that died with it.
const MaxRecoveries = 3

// Recover takes the tasks of workers whose lease has expired back, all in one transaction, and removes the workers. It returns
// the number of tasks.
func (e *Engine) Recover(ctx context.Context) (int, error) {
	if found, err := e.leases.AnyExpired(ctx); err != nil || !found {
		return 0, err
	}
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
		if ready, err = e.recover(ctx, tx, held, lost); err != nil {
			return err
		}
		return e.leases.Delete(tx, dead)
	})
	if err == nil && recovered > 0 {
		e.waker.committed(ready > 0)
	}
	return recovered, err
}

// Disown gives back the tasks that a living worker holds without knowing it: those of a claim whose commit it never heard of.
// held are those that it knows of. It returns the number of tasks.
func (e *Engine) Disown(ctx context.Context, worker string, held map[db.ID]bool) (int, error) {
	disowned, ready := 0, 0
	err := e.db.Transaction(ctx, func(tx db.Tx) error {
		list, err := e.tasks.HeldBy(tx, []string{worker})
		if err != nil {
			return err
		}
		unknown := slices.DeleteFunc(list, func(t tasks.Task) bool { return held[t.ID] })
		disowned = len(unknown)
		ready, err = e.recover(ctx, tx, unknown, func(t tasks.Task, now db.Time) *tasks.Move {
			return t.Release("the answer to the claim was lost", now)
		})
		return err
	})
	if err == nil && disowned > 0 {
		e.waker.committed(ready > 0)
	}
	return disowned, err
}

// lost is what becomes of a task whose worker is gone: it is given up once it has lost too many, for it may be what kills them.
func lost(t tasks.Task, now db.Time) *tasks.Move {
	if t.Recoveries >= MaxRecoveries {
		return tasks.Begin(t).Abandon(fmt.Sprintf("lost with its worker %d times", t.Recoveries+1), now)
	}
	return t.Recover(now)
}

// recover takes tasks from their workers.
func (e *Engine) recover(ctx context.Context, tx db.Tx, held []tasks.Task, how func(tasks.Task, db.Time) *tasks.Move) (ready int, err error) {
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
		if err != nil {
			return 0, fmt.Errorf("pipeline execution %s: %w", id, err)
		}
		for i := range p.def.Tasks {
			n := p.nodes[p.def.Tasks[i].ID]
			if h, ok := holder[n.task.ID]; !ok || n.task.Version != h.Version {
				continue // ended between being found and being locked
			}
			p.take(n, how(n.task, tx.Now))
		}
		if err := p.propagate(); err != nil {
			return 0, err
		}
		plans = append(plans, p)
	}
	_, ready, err = e.write(tx, plans)
	return ready, err
}
