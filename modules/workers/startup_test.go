package workers_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// narrow is a handler of which a machine can run only so many tasks at once.
type narrow struct {
	tasks.Handler

	mu                sync.Mutex
	running, capacity int
	refused           atomic.Int64
}

// newNarrow makes one; tests: it can test itself.
func newNarrow(capacity int, tests bool) (*narrow, tasks.Handler) {
	n := &narrow{capacity: capacity}
	n.Handler = tasks.NewHandler("narrow", func(ctx context.Context, _ struct{}) (struct{}, error) {
		if !n.enter() {
			n.refused.Add(1)
			return struct{}{}, tasks.CannotStart(fmt.Errorf("pipe: %w", syscall.EMFILE))
		}
		defer n.leave()
		timer := time.NewTimer(5 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
			return struct{}{}, nil
		case <-ctx.Done():
			return struct{}{}, ctx.Err()
		}
	})
	if tests {
		return n, tested{n}
	}
	return n, n
}

func (n *narrow) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running >= n.capacity {
		return false
	}
	n.running++
	return true
}

func (n *narrow) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running--
}

func (n *narrow) set(capacity int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.capacity = capacity
}

// tested is a narrow that can test itself.
type tested struct{ *narrow }

func (n tested) SelfTest(context.Context) error {
	if !n.enter() {
		return syscall.EMFILE
	}
	n.leave()
	return nil
}

// TestExhaustedMachine: tasks that cannot be started are given back without using up an attempt, and the worker runs
// fewer at once.
func TestExhaustedMachine(t *testing.T) {
	t.Parallel()
	for _, tests := range []bool{false, true} {
		t.Run(fmt.Sprintf("self test %v", tests), func(t *testing.T) {
			t.Parallel()
			audittest.Each(t, func(t *testing.T, d *db.DB) {
				n, h := newNarrow(4, tests)
				s := enginetest.New(t, d, h)
				list := make([]definition.Task, 60)
				for i := range list {
					list[i] = definition.Task{ID: fmt.Sprintf("t%d", i), Uses: "narrow"}
				}
				def := s.Define(t, "wide", list...)
				stop := s.Work(t, t.Context(), workers.Config{Slots: 64})
				defer stop()
				id := s.Start(t, t.Context(), def, "")
				if x := s.Wait(t, t.Context(), id); x.Status != pipelines.Completed {
					t.Errorf("it ended %s: %s", x.Status, x.Error)
				}
				found, err := s.Tasks.ListByPipeline(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				for _, task := range found {
					if task.Status != tasks.Completed || task.MaxAttempts-task.Attempt != 0 {
						t.Errorf("%s is %s at attempt %d of %d", task.TaskName, task.Status, task.Attempt,
							task.MaxAttempts)
					}
				}
				if n.refused.Load() == 0 {
					t.Error("the machine was never short of anything")
				}
			})
		})
	}
}

// TestWorkerRecovers: while nothing can be started the worker says so and claims nothing; then it works again by
// itself.
func TestWorkerRecovers(t *testing.T) {
	t.Parallel()
	for _, tests := range []bool{false, true} {
		t.Run(fmt.Sprintf("self test %v", tests), func(t *testing.T) {
			t.Parallel()
			audittest.Each(t, func(t *testing.T, d *db.DB) {
				n, h := newNarrow(0, tests)
				s := enginetest.New(t, d, h)
				def := s.Define(t, "one", definition.Task{ID: "a", Uses: "narrow"})
				pool := s.Pool(workers.Config{Slots: 8})
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- pool.Run(ctx) }()
				defer func() {
					cancel()
					if err := <-ended; err != nil {
						t.Error(err)
					}
				}()
				id := s.Start(t, t.Context(), def, "")
				dbtest.Eventually(t, "the worker says so",
					func() bool { return pool.State().CannotRun == "narrow: too many open files" })
				n.set(8)
				if x := s.Wait(t, t.Context(), id); x.Status != pipelines.Completed {
					t.Errorf("it ended %s: %s", x.Status, x.Error)
				}
				dbtest.Eventually(t, "the worker says so", func() bool { return pool.State().CannotRun == "" })
			})
		})
	}
}
