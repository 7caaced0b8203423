package audit

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

var benchPipelines = flag.Int("pipelines", 1000, "pipelines of ten tasks (52 events) that the benchmark verifies")

// chain returns a completed pipeline of n tasks, each of which depends on the one before.
func chain(n int) *sim {
	specs := make([]simSpec, n)
	for i := range specs {
		specs[i].name = fmt.Sprint("step", i)
		if i > 0 {
			specs[i].needs = []string{specs[i-1].name}
		}
	}
	s := startSim(specs...)
	for i := range specs {
		s.claim(specs[i].name, "w1")
		s.complete(specs[i].name)
	}
	return s
}

// saveSets writes ended executions with one statement for each table.
func saveSets(tb testing.TB, d *db.DB, sims []*sim) {
	tb.Helper()
	var pids, tids, tpids, eids, epids, etids []dbtype.ID
	var names, types, data, workers []string
	var versions, tversions []int64
	var at, created, started, completed, pcreated, pended []dbtype.Time
	for _, s := range sims {
		pids, pcreated, pended = append(pids, s.pid), append(pcreated, s.created), append(pended, s.ended)
		for _, t := range s.tasks {
			tids, tpids, names, tversions = append(tids, t.id), append(tpids, s.pid), append(names, t.name),
				append(tversions, t.version)
			created, started, completed = append(created, t.created), append(started, t.started),
				append(completed, t.completed)
		}
		for _, e := range s.events {
			eids, epids, etids, types = append(eids, dbtype.NewID()), append(epids, s.pid), append(etids, e.task),
				append(types, e.typ)
			data, workers, versions, at = append(data, e.data), append(workers, e.worker), append(versions, e.version),
				append(at, e.at)
		}
	}
	err := d.Transaction(tb.Context(), func(tx db.Tx) error {
		if _, err := tx.Exec(
			`INSERT INTO {pipeline_executions} (id, pipeline_name, definition_version, status,
  version, open_tasks, unsuccessful_tasks, created_at, completed_at)
SELECT x.id, 'nightly', 'v1', 'Completed', 2, 0, 0, x.created, x.ended
  FROM $x`, db.Args{"x": db.IDRows(pids).Times("created", pcreated).Times("ended", pended)}); err != nil {
			return err
		}
		set := db.IDRows(tids).IDs("p", tpids).Texts("name", names).Ints("version", tversions).
			Times("created", created).Times("started", started).Times("completed", completed)
		if _, err := tx.Exec(
			`INSERT INTO {task_executions} (id, pipeline_execution_id, task_name, handler, status, version, attempt,
  max_attempts, remaining_dependencies, worker_id, created_at, started_at, completed_at)
SELECT x.id, x.p, x.name, 'shell', 'Completed', x.version, 1, 3, 0, 'w1', x.created, x.started, x.completed
  FROM $x`, db.Args{"x": set}); err != nil {
			return err
		}
		set = db.IDRows(eids).IDs("p", epids).NullIDs("t", etids).Texts("type", types).NullInts("version", versions).
			JSONs("data", data).NullTexts("worker", workers).Times("at", at)
		_, err := tx.Exec(`INSERT INTO {execution_events} (id, pipeline_execution_id, task_execution_id,
  event_type, version, event_data, worker_id, created_at)
SELECT x.id, x.p, x.t, x.type, x.version, x.data, x.worker, x.at FROM $x`, db.Args{"x": set})
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func benchmark(b *testing.B, d *db.DB, pipelines, length int) {
	for done := 0; done < pipelines; {
		var sims []*sim
		for len(sims) < max(1, 2000/length) && done < pipelines {
			sims = append(sims, chain(length))
			done++
		}
		saveSets(b, d, sims)
	}
	for b.Loop() {
		begun := time.Now()
		r := verify(b, d, Options{})
		if !r.OK() {
			b.Fatal(r)
		}
		b.ReportMetric(float64(r.Events)/time.Since(begun).Seconds(), "events/s")
	}
}

func BenchmarkVerify(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmark(b, dbtest.SQLite(b), *benchPipelines, 10) })
	b.Run("postgres", func(b *testing.B) { benchmark(b, dbtest.Postgres(b), *benchPipelines, 10) })
	b.Run("sqlite/one pipeline", func(b *testing.B) { benchmark(b, dbtest.SQLite(b), 1, *benchPipelines) })
}
