package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
)

// judge compares the three accounts when all work has ended.
func (r *round) judge(ctx context.Context) error {
	err := errors.Join(
		r.verify(ctx, nil, "everything"),
		r.judgeHistory(ctx),
		r.judgeRest(ctx),
	)
	if r.config.Check != nil {
		err = errors.Join(err, r.config.Check(ctx, r.db))
	}
	r.logs.tell(&r.report)
	r.report.Breaches = append(r.report.Breaches, r.processes.faults...)
	r.report.Breaches = append(r.report.Breaches, r.feeder.errors...)
	for _, e := range r.processes.ends {
		if e.kind == "exit" || e.kind == "unreachable" {
			r.report.Strikes["process ended: "+e.kind]++
		}
	}
	return err
}

func (r *round) judgeHistory(ctx context.Context) error {
	h, err := readHistory(ctx, r.db)
	if err != nil {
		return err
	}
	folders := []string{r.processes.ledgers}
	if r.config.Before != "" {
		folders = append(folders, r.config.Before)
	}
	l, err := readLedgers(folders...)
	if err != nil {
		return err
	}
	l.add(h)
	violent, killed, stopped := map[int]bool{}, map[int]time.Time{}, map[int]time.Time{}
	for _, e := range r.processes.ends {
		violent[e.pid] = true
		switch e.kind {
		case "kill":
			killed[e.pid] = e.at
		case "term":
			stopped[e.pid] = e.at
		}
	}
	var breaches []string
	r.report.Account, breaches = l.compare(excuses{
		ended: violent, links: r.server != nil,
		forgotten: r.config.Before != "" || r.config.Forgets,
	})
	if r.report.SameName, err = sameName(r.processes.ledgers); err != nil {
		return err
	}
	zombies := h.zombies()
	r.report.Accepted += len(zombies)
	r.report.Breaches = slices.Concat(r.report.Breaches, breaches, zombies, h.expired())
	r.report.Killed, r.report.Stopped = millis(h.delays(killed, lost, r.outages)),
		millis(h.delays(stopped, handed, r.outages))
	return nil
}

// judgeRest counts, and checks the final state: no open run, no outbox row, and each run ended as its pipeline
// should.
func (r *round) judgeRest(ctx context.Context) error {
	confirmed := r.feeder.confirmed
	if r.config.Forgets {
		confirmed = nil // a run that was confirmed to a client may have been forgotten
	}
	abandoned, breaches, err := executions(ctx, r.db, confirmed)
	if err != nil {
		return err
	}
	r.report.Abandoned = abandoned
	r.report.Breaches = append(r.report.Breaches, breaches...)
	for statement, into := range map[string]*int{
		`SELECT COUNT(*) FROM {execution_events} WHERE version IS NOT NULL`: &r.report.Transitions,
		`SELECT COUNT(*) FROM {pipeline_executions}`:                        &r.report.Runs,
		`SELECT COUNT(*) FROM {task_executions}`:                            &r.report.Tasks,
	} {
		if *into, err = count(ctx, r.db, statement, nil); err != nil {
			return err
		}
	}
	for statement, what := range map[string]string{
		openExecutions: "runs are open", outboxRows: "rows are in the outbox",
		`SELECT COUNT(*) FROM {workers}`: "workers are registered",
	} {
		n, err := count(ctx, r.db, statement, db.Args{})
		if err != nil {
			return err
		}
		if n > 0 {
			r.breach(fmt.Sprintf("at the end %d %s", n, what))
		}
	}
	left, err := remains(ctx, r.db)
	if err != nil {
		return err
	}
	r.report.Breaches = append(r.report.Breaches, left...)
	if r.report.Stuck > 0 {
		r.breach(fmt.Sprintf("%d tasks did not move for %s in which workers had a lease", r.report.Stuck,
			r.config.stale()))
	}
	return nil
}
