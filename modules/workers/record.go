package workers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// lastResort is after how many tries an error that nobody expects is taken for a refusal, so that one outcome does not hold
// up all others for ever. They take some ten seconds.
const lastResort = 10

// release frees the slots and the room of a group that has been recorded by itself.
func (p *Pool) release(group []*pipelines.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range group {
		delete(p.running, o.Claim)
	}
	p.giveBack(reservation{}, group, nil)
}

// finish records a group, however long the database is away: an outcome is never thrown away while its claim may still hold.
func (p *Pool) finish(ctx context.Context, group []*pipelines.Outcome) {
	began := p.db.Now()
	for attempt := 0; ; attempt++ {
		lost, err := p.engine.Finish(ctx, p.workerID(), group)
		if err == nil {
			p.config.Observer.Recorded(len(group), p.db.Now().Sub(began))
			p.reportLost(group, lost)
			return
		}
		if ctx.Err() != nil {
			p.unrecorded.Store(true)
			p.log.Error("outcomes could not be recorded", zap.Int("tasks", len(group)), zap.Error(err))
			return
		}
		if !errors.Is(err, db.ErrUnavailable) {
			if len(group) > 1 {
				// One of them is what the database refuses: each by itself, so that it takes no other with it.
				for _, o := range group {
					p.finish(ctx, []*pipelines.Outcome{o})
				}
				return
			}
			if errors.Is(err, db.ErrRefused) || attempt == lastResort {
				refused(group[0], err)
			}
		}
		p.log.Warn("recording outcomes failed, trying again", zap.Int("tasks", len(group)), zap.Error(err))
		sleep(ctx, min(50*time.Millisecond<<min(attempt, 6), 2*time.Second))
	}
}

// refused turns an outcome that the database will not take into the record of that.
func refused(o *pipelines.Outcome, err error) {
	o.Kind, o.Output, o.Stdout, o.Stderr = pipelines.Erred, nil, "", ""
	o.ErrorKind = tasks.KindInvalidOutput
	o.Error = tasks.CleanText(fmt.Sprintf("the outcome could not be recorded: %v", err), tasks.MaxError)
}

func (p *Pool) reportLost(group []*pipelines.Outcome, lost []error) {
	for i, err := range lost {
		if err == nil {
			p.config.Observer.Finished(group[i].Kind)
		} else {
			p.config.Observer.Lost()
			t := &group[i].Claim.Task
			p.log.Warn("a late outcome was refused", zap.String("task", t.TaskName), zap.Stringer("task_execution_id", t.ID), zap.Error(err))
		}
	}
}
