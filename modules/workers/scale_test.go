package workers_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// shapes are runs of about n tasks in all: pipelines of one definition.
var shapes = map[string]func(n int) (list []definition.Task, runs int){
	"chain": func(n int) ([]definition.Task, int) {
		list := wideTasks(n, "scripted")
		for i := 1; i < n; i++ {
			list[i].Needs = []string{list[i-1].ID}
		}
		return list, 1
	},
	"wide":    func(n int) ([]definition.Task, int) { return wideTasks(n, "scripted"), 1 },
	"singles": func(n int) ([]definition.Task, int) { return wideTasks(1, "scripted"), n },
	"fan-in": func(n int) ([]definition.Task, int) {
		list := wideTasks(n, "scripted")
		for i := range n - 1 {
			list[n-1].Needs = append(list[n-1].Needs, list[i].ID)
		}
		return list, 1
	},
}

// runShape runs a shape to its end and gives the time that took, creation included.
func runShape(t *testing.T, s *enginetest.Stack, shape string, n int) time.Duration {
	t.Helper()
	ctx := context.Background()
	list, runs := shapes[shape](n)
	def := s.Define(t, shape, list...)
	stop := s.Work(t, ctx, workers.Config{Slots: 64})
	begin := time.Now()
	requests := make([]engine.StartRequest, runs)
	for i := range requests {
		requests[i].Definition = def
	}
	started, err := s.Engine.Start(ctx, requests)
	must(t, err)
	for _, x := range started {
		if e := s.Wait(t, ctx, x.ID); e.Status != pipelines.Completed {
			t.Errorf("%s is %s", x.ID, e.Status)
		}
	}
	took := time.Since(begin)
	stop()
	if n, err := s.Outbox.CountPending(ctx); n != 0 || err != nil {
		t.Errorf("%d outbox rows at the end (%v)", n, err)
	}
	return took
}

// TestScaleShapes: a thousand tasks in each shape all complete. The rate is shown and decides nothing.
func TestScaleShapes(t *testing.T) {
	const n = 1000
	for shape := range shapes {
		t.Run(shape, func(t *testing.T) {
			audittest.Each(t, func(t *testing.T, d *db.DB) {
				took := runShape(t, enginetest.New(t, d, &enginetest.Scripted{}), shape, n)
				t.Logf("%s: %d tasks in %s, %.0f tasks/s", shape, n, took.Round(time.Millisecond), n/took.Seconds())
			})
		})
	}
}

// cost is what the database did, a task's share.
type cost struct {
	transactions, lookups, read, written float64
}

func (c cost) String() string {
	return fmt.Sprintf("%.2f transactions, %.1f lookups, %.1f rows read, %.1f rows written", c.transactions, c.lookups,
		c.read, c.written)
}

// exceeds compares with a smaller run's. How outcomes fall into groups varies, and with it a task's share in the work
// of its group.
func (c cost) exceeds(small cost) bool {
	const most, share = 1.2, 0.5
	more := func(large, small float64) bool { return large > most*small+share }
	return more(c.transactions, small.transactions) || more(c.lookups, small.lookups) || more(c.read, small.read) ||
		more(c.written, small.written)
}

// TestScaleCostIsFlat: a task among 2,000 costs no more transactions, lookups and rows than one among 200.
func TestScaleCostIsFlat(t *testing.T) {
	measures := map[string]func(*testing.T, string, int) cost{"sqlite": measureSQLite, "postgres": measurePostgres}
	for name, measure := range measures {
		for shape := range shapes {
			t.Run(name+"/"+shape, func(t *testing.T) {
				t.Parallel()
				small, large := 200, 2000
				if shape == "chain" {
					small, large = 50, 500 // whose transactions come one after the other
				}
				few, many := measure(t, shape, small), measure(t, shape, large)
				t.Logf("a task of %d: %s; of %d: %s", small, few, large, many)
				if few.written == 0 || many.exceeds(few) {
					t.Errorf("a task of %d costs %s; of %d, %s", small, few, large, many)
				}
			})
		}
	}
}

// measureSQLite counts the rows that the one writing connection has changed.
func measureSQLite(t *testing.T, shape string, n int) cost {
	t.Helper()
	s := enginetest.New(t, dbtest.SQLite(t), &enginetest.Scripted{})
	changes := func() (total float64) {
		must(t, s.DB.Transaction(context.Background(), func(tx db.Tx) error {
			return tx.Query(`SELECT total_changes()`, nil, func(scan db.Scan) error { return scan(&total) })
		}))
		return total
	}
	before := changes()
	runShape(t, s, shape, n)
	c := cost{written: (changes() - before) / float64(n)}
	audittest.Check(t, s.DB)
	return c
}

// measurePostgres asks the server what it did.
func measurePostgres(t *testing.T, shape string, n int) (c cost) {
	t.Helper()
	u := dbtest.PostgresURL(t)
	d, err := db.Open(t.Context(), u)
	must(t, err)
	runShape(t, enginetest.New(t, d, &enginetest.Scripted{}), shape, n)
	must(t, d.Close()) // a connection hands its numbers in when it ends
	admin := dbtest.Open(t, u)
	for others := 1; others > 0; {
		must(t, admin.Query(t.Context(), `SELECT count(*) FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
  AND backend_type = 'client backend'`, nil,
			func(scan db.Scan) error { return scan(&others) }))
	}
	must(t, admin.Query(t.Context(),
		`SELECT sum(coalesce(seq_scan, 0) + coalesce(idx_scan,
  0))::float8, sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::float8,
  sum(n_tup_ins + n_tup_upd + n_tup_del)::float8, (SELECT xact_commit::float8 FROM pg_catalog.pg_stat_database
  WHERE datname = pg_catalog.current_database())
FROM pg_catalog.pg_stat_user_tables`, nil, func(scan db.Scan) error {
			return scan(&c.lookups,
				&c.read, &c.written, &c.transactions)
		}))
	audittest.Check(t, admin)
	tasks := float64(n)
	return cost{c.transactions / tasks, c.lookups / tasks, c.read / tasks, c.written / tasks}
}
