package retention_test

import (
	"context"
	"flag"
	"testing"
	"time"

	"sluice/modules/enginetest"
	"sluice/modules/pipelines"
	"sluice/modules/pipelines/definition"
	"sluice/modules/tasks"
	"sluice/modules/workers"
	"sluice/platform/db"
	"sluice/platform/db/dbtest"
)

var benchRuns = flag.Int("runs", 200, "runs of ten tasks (52 events) whose events the benchmark removes")

// BenchmarkWorkDuringRetention measures what work is done a second alone, and while the events of -runs earlier runs are removed:
// with -runs 20000 that is a million.
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
				cutoff := db.At(s.DB.Now())
				alone := w.rate(nil)
				ended := make(chan error, 1)
				go func() {
					n, err := s.Retention.RemoveEvents(b.Context(), cutoff, nil)
					if n != int64(*benchRuns)*52 {
						b.Errorf("%d events were removed", n)
					}
					ended <- err
				}()
				beside := w.rate(ended)
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

// rate works until ended says something, or for a while, and gives the tasks a second.
func (w *bench) rate(ended chan error) float64 {
	const runs = 500
	begin := time.Now()
	for n := 1; ; n++ {
		w.work(runs)
		took := time.Since(begin)
		done := ended == nil && took > 5*time.Second
		select {
		case err := <-ended:
			if err != nil {
				w.b.Fatal(err)
			}
			done = true
		default:
		}
		if done {
			return float64(n*runs*10) / took.Seconds()
		}
	}
}

// work starts runs and waits for the end of all.
func (w *bench) work(runs int) {
	requests := make([]pipelines.Request, runs)
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
