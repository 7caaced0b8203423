package retention_test

import (
	"context"
	"flag"
	"sync"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

var benchRuns = flag.Int("runs", 200, "runs of ten tasks (52 events) whose events the benchmark removes")

// BenchmarkWorkDuringRetention measures the tasks per second alone and while the events of -runs earlier runs are
// removed. With -runs 20000 those are a million events.
func BenchmarkWorkDuringRetention(b *testing.B) {
	noop := tasks.NewHandler("noop", func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })
	for name, open := range map[string]func(testing.TB) *db.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			s := enginetest.New(b, open(b), noop)
			list := make([]definition.Task, 10)
			for i := range list {
				list[i] = definition.Task{ID: string(rune('a' + i)), Uses: "noop"}
				if i > 0 {
					list[i].Needs = []string{list[i-1].ID}
				}
			}
			w := &bench{b: b, stack: s, def: s.Define(b, "chain", list...)}
			s.Work(b, b.Context(), workers.Config{Slots: 256})
			for b.Loop() {
				w.work(*benchRuns)
				cutoff := dbtype.NewTime(s.DB.Now())
				alone, beside := w.rates(cutoff)
				b.ReportMetric(alone, "tasks/s-alone")
				b.ReportMetric(beside, "tasks/s-beside")
				b.ReportMetric(beside/alone, "ratio")
			}
		})
	}
}

type bench struct {
	b     *testing.B
	stack *enginetest.Stack
	def   *definition.Definition
}

// rates runs tasks alternately alone and beside retention until the retention is complete, and returns the tasks per
// second of both. Because they alternate, other load on the machine affects both equally. Retention is paused between
// two executions, outside a transaction.
func (w *bench) rates(cutoff dbtype.Time) (alone, beside float64) {
	var gate sync.Mutex
	ended := make(chan error, 1)
	gate.Lock()
	go func() {
		n, err := w.stack.Retention.RemoveEvents(w.b.Context(), cutoff, func(int64) {
			gate.Lock()
			gate.Unlock() //nolint:staticcheck // it is the wait that counts
		})
		if n != int64(*benchRuns)*52 {
			w.b.Errorf("%d events were removed", n)
		}
		ended <- err
	}()
	var tasks, took [2]float64
	for turn := 0; ; turn = 1 - turn {
		if turn == 1 {
			gate.Unlock()
		}
		begin := time.Now()
		for time.Since(begin) < 2*time.Second {
			const runs = 500
			w.work(runs)
			tasks[turn] += runs * 10
		}
		took[turn] += time.Since(begin).Seconds()
		if turn == 0 {
			continue
		}
		gate.Lock()
		select {
		case err := <-ended:
			if err != nil {
				w.b.Fatal(err)
			}
			return tasks[0] / took[0], tasks[1] / took[1]
		default:
		}
	}
}

// work starts runs and waits until all have ended.
func (w *bench) work(runs int) {
	requests := make([]engine.StartRequest, runs)
	for i := range requests {
		requests[i].Definition = w.def
	}
	started, err := w.stack.Engine.Start(w.b.Context(), requests)
	if err != nil {
		w.b.Fatal(err)
	}
	for _, x := range started {
		w.stack.Wait(w.b, w.b.Context(), x.ID)
	}
}
