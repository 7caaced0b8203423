package health_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// samples returns the value of each of this program's series in a response of /metrics.
func samples(t *testing.T, body string) (values map[string]float64, declared []string) {
	t.Helper()
	values = map[string]float64{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "# TYPE sluice_"); ok {
			declared = append(declared, "sluice_"+strings.Fields(name)[0])
		}
		if !strings.HasPrefix(line, "sluice_") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		values[line[:i]] = v
	}
	return values, declared
}

func ofDefault(name string) string { return name + `{tenant="default"}` }

// expected lists the series of a worker on which every event has occurred, each above 0.
var expected = []string{
	ofDefault("sluice_tasks_claimed_total"), ofDefault("sluice_claims_lost_total"),
	ofDefault("sluice_recovered_tasks_total"),
	ofDefault("sluice_outbox_pending"), ofDefault("sluice_lease_seconds_left"), ofDefault("sluice_slots_used"),
	`sluice_tasks_finished_total{outcome="completed",tenant="default"}`,
	`sluice_tasks_finished_total{outcome="failed",tenant="default"}`,
	`sluice_tasks_finished_total{outcome="deferred",tenant="default"}`,
	`sluice_tasks_finished_total{outcome="released",tenant="default"}`,
	`sluice_slots{state="used"}`, `sluice_slots{state="free"}`,
	`sluice_handler_slots{handler="scripted",state="used"}`, `sluice_handler_slots{handler="scripted",state="free"}`,
	`sluice_handler_places{handler="scripted",state="used"}`, `sluice_handler_places{handler="scripted",state="free"}`,
	ofDefault("sluice_claim_seconds_count"), ofDefault("sluice_record_seconds_count"),
	`sluice_task_seconds_count{handler="scripted",tenant="default"}`,
	`sluice_queue_wait_seconds_count{handler="scripted",queue="default",tenant="default"}`,
	`sluice_runs_total{pipeline="mixed",status="Failed",tenant="default"}`,
	`sluice_runs_total{pipeline="lost",status="Completed",tenant="default"}`,
	`sluice_runs_total{pipeline="hang",status="Cancelled",tenant="default"}`,
	`sluice_run_seconds_count{pipeline="mixed",tenant="default"}`,
	`sluice_pipeline_last_success_timestamp_seconds{pipeline="lost",tenant="default"}`,
}

// ofTransactions are the metrics that only a server with open transactions has. TestHeldBack covers them.
var ofTransactions = []string{
	"sluice_tail_lag_seconds", "sluice_events_held_back_seconds",
	"sluice_oldest_transaction_age",
}

// ofFaults are the metrics that only an outage or a damaged database raises.
var ofFaults = []string{"sluice_failed_recoveries_total", "sluice_outcomes_waiting", "sluice_tasks_not_started_total"}

// TestHeldBack checks that an open transaction with an event is reported, and is not reported once it has ended.
func TestHeldBack(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	server := listen(t, d, "127.0.0.1:0", zap.NewNop())
	look := func() map[string]float64 {
		_, body := get(t, server, "/metrics")
		values, _ := samples(t, body)
		return values
	}
	rolledBack := errors.New("rolled back")
	err := d.Transaction(t.Context(), func(tx db.Tx) error {
		e := events.Event{
			PipelineExecutionID: dbtype.NewID(), EventType: events.Annotation,
			EventData: dbtype.JSON("{}"),
		}
		b := tx.Batch()
		eventstore.NewRepository(d).Append(b, []events.Event{e})
		if err := b.Send(); err != nil {
			return err
		}
		// Other transactions begin on the same server in the meantime.
		dbtest.Eventually(t, "it shows", func() bool {
			if err := d.Transaction(t.Context(), func(other db.Tx) error {
				return leases.NewRepository(d).
					Delete(other, []string{"nobody"})
			}); err != nil {
				t.Error(err)
			}
			v := look()
			return v[ofDefault("sluice_tail_lag_seconds")] > 0 && v["sluice_oldest_transaction_age"] > 0
		})
		return rolledBack
	})
	if !errors.Is(err, rolledBack) {
		t.Fatal(err)
	}
	if v, there := look()[ofDefault("sluice_tail_lag_seconds")]; v != 0 || !there {
		t.Errorf("held back for %f s by nobody", v)
	}
}

func step(id string, do string) definition.Task {
	return definition.Task{ID: id, Uses: "scripted", With: []byte(`{"do": ` + do + `}`)}
}

// TestEveryMetricAppears drives a pool through every event until each metric has counted something.
func TestEveryMetricAppears(t *testing.T) {
	enginetest.Each(t, nil, func(t *testing.T, base *enginetest.Stack) {
		ctx := context.Background()
		stack := enginetest.New(t, base.DB, &enginetest.Scripted{}, later())
		server := listen(t, base.DB, "127.0.0.1:0", zap.NewNop())
		loseOne(t, stack)
		pool := stack.Pool(workers.Config{
			Slots: 3, HandlerLimits: map[string]int{"scripted": 2},
			Lease: 900 * time.Millisecond, Drain: time.Millisecond, Observer: server.Observer(db.DefaultTenant),
		})
		server.Watch(db.DefaultTenant, pool)
		working, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- pool.Run(working) }()

		stack.Wait(t, ctx, stack.Start(t, ctx, stack.Define(t, "mixed", step("a", `["ok"]`), step("b", `["error"]`),
			definition.Task{ID: "c", Uses: "later"}), ""))
		hang := stack.Define(t, "hang", step("h", `["hang", "ok"]`))
		lost := engine.ControlRequest{ID: stack.Start(t, ctx, hang, ""), Actor: "test"}
		running := func(id engine.ControlRequest) func() bool {
			return func() bool {
				list, err := stack.Tasks.ListByPipeline(ctx, id.ID)
				if err != nil {
					t.Fatal(err)
				}
				return list[0].Status == tasks.Running
			}
		}
		dbtest.Eventually(t, "it hangs", running(lost))
		if err := stack.Engine.Cancel(ctx, lost); err != nil {
			t.Fatal(err)
		}
		given := engine.ControlRequest{ID: stack.Start(t, ctx, hang, ""), Actor: "test"}
		dbtest.Eventually(t, "it hangs again", running(given))
		other := enginetest.New(t, base.DB, &strange{})
		waiting := engine.ControlRequest{ID: other.Start(t, ctx,
			other.Define(t, "strange", definition.Task{ID: "s", Uses: "strange"}), ""), Actor: "test"}

		seen := map[string]bool{}
		look := func() bool {
			_, body := get(t, server, "/metrics")
			values, declared := samples(t, body)
			for _, name := range declared {
				if !isExpected(name) && !slices.Contains(slices.Concat(ofTransactions, ofFaults), name) {
					t.Fatalf("metric %s is declared, and this test does not know it", name)
				}
			}
			for _, name := range expected {
				seen[name] = seen[name] || values[name] > 0
			}
			return all(seen, `sluice_tasks_finished_total{outcome="released",tenant="default"}`)
		}
		dbtest.Eventually(t, "every metric but the one of the drain", look)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		look()
		for _, name := range expected {
			if !seen[name] {
				t.Errorf("%s never rose above 0", name)
			}
		}
		if _, body := get(t, server, "/metrics"); !strings.Contains(body, "\ngo_goroutines ") ||
			!strings.Contains(body, "\nprocess_open_fds ") {
			t.Error("nothing of the Go runtime and the process")
		}
		for _, o := range []engine.ControlRequest{given, waiting} {
			if err := stack.Engine.Cancel(ctx, o); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestPageListsEveryMetric checks that docs/metrics.md and /metrics contain the same metrics.
func TestPageListsEveryMetric(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for line := range strings.Lines(string(page)) {
		if name, ok := strings.CutPrefix(line, "| `sluice_"); ok {
			name, _, _ = strings.Cut(name, "`")
			listed = append(listed, "sluice_"+name)
		}
	}
	var served []string
	for _, name := range slices.Concat(expected, ofTransactions, ofFaults) { // TestEveryMetricAppears checks it
		name, _, _ = strings.Cut(name, "{")
		served = append(served, strings.TrimSuffix(name, "_count"))
	}
	slices.Sort(listed)
	slices.Sort(served)
	if diff := cmp.Diff(slices.Compact(served), listed); diff != "" {
		t.Errorf("docs/metrics.md (-served +listed):\n%s", diff)
	}
}

// TestPipelineLabelsAreBounded checks that pipelines beyond the bound share a label, and that the others keep theirs.
func TestPipelineLabelsAreBounded(t *testing.T) {
	t.Parallel()
	server := listen(t, dbtest.SQLite(t), "127.0.0.1:0", zap.NewNop())
	o := server.Observer(db.DefaultTenant)
	for i := range 500 {
		o.RunEnded(&pipelines.Execution{PipelineName: "generated-" + strconv.Itoa(i), Status: pipelines.Failed})
	}
	o.RunEnded(&pipelines.Execution{PipelineName: "generated-0", Status: pipelines.Failed})
	_, body := get(t, server, "/metrics")
	values, _ := samples(t, body)
	runs := 0
	for name := range values {
		if strings.HasPrefix(name, "sluice_runs_total{") {
			runs++
		}
	}
	first := values[`sluice_runs_total{pipeline="generated-0",status="Failed",tenant="default"}`]
	other := values[`sluice_runs_total{pipeline="other",status="Failed",tenant="default"}`]
	if runs != 201 || first != 2 || other != 300 {
		t.Errorf("%d series, %v of the first pipeline, %v of others; want 201, 2, 300", runs, first, other)
	}
}

// all reports whether every expected series except but has been seen.
func all(seen map[string]bool, but string) bool {
	for _, name := range expected {
		if !seen[name] && name != but {
			return false
		}
	}
	return true
}

func isExpected(declared string) bool {
	for _, name := range expected {
		name, _, _ = strings.Cut(name, "{")
		if strings.TrimSuffix(name, "_count") == declared {
			return true
		}
	}
	return false
}

// loseOne leaves a claimed task with a dead worker.
func loseOne(t *testing.T, s *enginetest.Stack) {
	t.Helper()
	ctx := context.Background()
	s.Start(t, ctx, s.Define(t, "lost", step("x", `["ok"]`)), "")
	expires, err := s.Leases.Register(ctx, leases.Worker{
		ID: "dead", Hostname: "here", Slots: 1, Handlers: "scripted",
		Queues: tasks.DefaultQueue,
	}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := s.Engine.Claim(ctx, engine.ClaimRequest{
		Worker: "dead", LeaseExpiresAt: expires,
		Want: outbox.ClaimFilter{Handlers: []string{"scripted"}, Queues: []string{tasks.DefaultQueue}, Limit: 1},
	})
	if err != nil || len(claims) != 1 {
		t.Fatalf("%d claims, %v", len(claims), err)
	}
}

// later returns a handler that defers its task once.
func later() tasks.Handler {
	return tasks.NewHandler("later", func(ctx context.Context, _ struct{}) (struct{}, error) {
		call, ok := tasks.AttemptFrom(ctx)
		if !ok || call.Resumed {
			return struct{}{}, nil
		}
		return struct{}{}, tasks.DeferUntil(call.Now().Add(time.Millisecond), "in a moment")
	})
}

// strange is a handler that the observed pool does not have.
type strange struct{ enginetest.Scripted }

func (*strange) Name() string { return "strange" }
