package workers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// contextOf ends with the test's cleanups or when it is told to; the test's own context would end before they run.
func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(context.WithoutCancel(t.Context()))
}

// meeting lets nobody on until as many as are expected have come.
type meeting struct {
	missing atomic.Int32
	all     chan struct{}
}

func newMeeting(n int32) *meeting {
	m := &meeting{all: make(chan struct{})}
	m.missing.Store(n)
	return m
}

// tenantPool is the handler of one pool: its first call comes to the meeting, and all of its calls wait for the others.
type tenantPool struct {
	*meeting
	first sync.Once
}

func (*tenantPool) Name() string               { return "member" }
func (*tenantPool) Check(map[string]any) error { return nil }

func (m *tenantPool) Run(ctx context.Context, _ *tasks.Attempt) (json.RawMessage, error) {
	m.first.Do(func() {
		if m.missing.Add(-1) == 0 {
			close(m.all)
		}
	})
	select {
	case <-m.all:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestJoinOfAThousand: a thousand predecessors end concurrently in four pools, each over a handle of its own on one
// database. Their join becomes ready once and starts once; no pool has anything to complain of.
func TestJoinOfAThousand(t *testing.T) {
	t.Parallel()
	const width, pools = 1000, 4
	enginetest.Each(t, []tasks.Handler{&tenantPool{}}, func(t *testing.T, s *enginetest.Stack) {
		list := make([]definition.Task, width, width+1)
		join := definition.Task{ID: "join", Uses: "member"}
		for i := range list {
			list[i] = definition.Task{ID: fmt.Sprintf("p%03d", i), Uses: "member"}
			join.Needs = append(join.Needs, list[i].ID)
		}
		def := s.Define(t, "fan-in", append(list, join)...)
		id := s.Start(t, t.Context(), def, "")
		together := newMeeting(pools) // so that no pool is done before another has begun
		logs := make([]*observer.ObservedLogs, pools)
		for i := range pools {
			other := enginetest.New(t, dbtest.Open(t, s.DB.URL()), &tenantPool{meeting: together})
			pool, _, log := watched(other, workers.Config{Slots: 16, Poll: 10 * time.Millisecond})
			logs[i] = log
			run(t, pool)
		}
		if x := s.Wait(t, t.Context(), id); x.Status != pipelines.Completed {
			t.Errorf("the run is %s: %s", x.Status, x.Error)
		}
		if got := sequences(t, s, id)["join"]; got != ran {
			t.Errorf("the join's history is %q, expected %q", got, ran)
		}
		for _, log := range logs {
			for _, e := range log.All() {
				t.Errorf("a pool says %s %v", e.Message, e.ContextMap())
			}
		}
		shared(t, s, id, width, pools)
	})
}

// shared: the tasks were claimed once each, by more than one pool.
func shared(t *testing.T, s *enginetest.Stack, id dbtype.ID, width, pools int) {
	t.Helper()
	list, err := s.Events.List(t.Context(), eventstore.Filter{PipelineExecutionID: id, EventType: events.TaskClaimed})
	if err != nil {
		t.Fatal(err)
	}
	by := map[dbtype.Text]int{}
	for _, e := range list {
		by[e.WorkerID]++
	}
	if len(list) != width+1 {
		t.Errorf("%d claims, expected one of each of %d tasks", len(list), width+1)
	}
	if len(by) != pools {
		t.Errorf("claims by worker: %v, expected all %d pools to share the work", by, pools)
	}
}
