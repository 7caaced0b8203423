package chaos

import (
	"context"
	"fmt"
	"time"
)

// every is how often a long run reports its progress.
const every = 10 * time.Second

// tell reports the progress of the round regularly, until ctx ends.
func (r *round) tell(ctx context.Context) {
	if r.config.Progress == nil {
		return
	}
	begin, tick := time.Now(), time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.mu.Lock()
		line := fmt.Sprintf("%4.0f s: about %d transitions, strikes %v, late outcomes refused %d, breaches %d\n",
			time.Since(begin).Seconds(),
			r.feeder.tasks.Load()*perTask, r.report.Strikes, r.logs.lateOutcomes(), len(r.report.Breaches))
		r.mu.Unlock()
		fmt.Fprint(r.config.Progress, line)
	}
}
