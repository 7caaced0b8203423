package engine_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const listed = 10_000

// listedRun is a run of the table that the listings of these tests read.
type listedRun struct {
	id       dbtype.ID
	pipeline string
	status   pipelines.Status
	created  dbtype.Time
	failure  string
	team     string // a label; empty: none
}

var listedBegin = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// fillList writes runs, one a minute, the oldest first, as rows alone: listings read nothing else.
func fillList(t *testing.T, d *db.DB) []listedRun {
	t.Helper()
	runs := make([]listedRun, listed)
	for i := range runs {
		at := dbtype.NewTime(listedBegin.Add(time.Duration(i) * time.Minute))
		r := listedRun{
			id: dbtype.FirstIDAt(at.Time), pipeline: fmt.Sprintf("p%d", i%7), status: pipelines.Completed,
			created: at,
		}
		binary.BigEndian.PutUint32(r.id[12:], uint32(i))
		switch i % 100 {
		case 3:
			r.status, r.failure = pipelines.Failed, fmt.Sprintf("task a failed: 100%% of Host_%d refused", i%5)
		case 5:
			r.status = pipelines.Running
		case 7:
			r.status = pipelines.Cancelled
		case 9:
			r.status = pipelines.Paused
		}
		if i%50 == 3 {
			r.team = []string{"sales", "ops"}[i/50%2]
		}
		runs[i] = r
	}
	err := d.Transaction(t.Context(), func(tx db.Tx) error {
		for part := range slices.Chunk(runs, 2000) {
			if err := insertListed(tx, part); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`ANALYZE`, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

func insertListed(tx db.Tx, runs []listedRun) error {
	n := len(runs)
	ids, names, statuses, created, failures := make([]dbtype.ID, n), make([]string, n), make([]string, n),
		make([]dbtype.Time, n), make([]string, n)
	var labelled []dbtype.ID
	var values []string
	for i, r := range runs {
		ids[i], names[i], statuses[i], created[i], failures[i] = r.id, r.pipeline, string(r.status), r.created,
			r.failure
		if r.team != "" {
			labelled, values = append(labelled, r.id), append(values, r.team)
		}
	}
	_, err := tx.Exec(`INSERT INTO {pipeline_executions} (id, pipeline_name, definition_version, status,
  version, error, open_tasks, unsuccessful_tasks, created_at)
SELECT x.id, x.name, 'v', x.status, 1, x.error, 0, 0, x.created_at FROM $x`, db.Args{"x": db.IDRows(ids).Texts("name",
		names).Texts("status", statuses).
		NullTexts("error", failures).Times("created_at", created)})
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO {execution_labels} (name, value, pipeline_execution_id) SELECT 'team', x.value, x.id
  FROM $x`,
		db.Args{"x": db.IDRows(labelled).Texts("value", values)})
	return err
}

var listings = map[string]engine.Filter{
	"all":                 {},
	"pipeline":            {PipelineName: "p3"},
	"status":              {Statuses: []pipelines.Status{pipelines.Failed}},
	"statuses":            {Statuses: []pipelines.Status{pipelines.Running, pipelines.Cancelled}},
	"completed":           {Statuses: []pipelines.Status{pipelines.Completed}},
	"pipeline and status": {PipelineName: "p3", Statuses: []pipelines.Status{pipelines.Failed, pipelines.Running}},
	"since":               {Since: dbtype.NewTime(listedBegin.Add(9000 * time.Minute))},
	"until":               {Until: dbtype.NewTime(listedBegin.Add(100 * time.Minute))},
	"period of a status": {
		Statuses: []pipelines.Status{pipelines.Failed},
		Since:    dbtype.NewTime(listedBegin.Add(5000 * time.Minute)),
		Until:    dbtype.NewTime(listedBegin.Add(6000 * time.Minute)),
	},
	"error":               {Error: "100% of host_3"},
	"error of a pipeline": {PipelineName: "p1", Error: "HOST"},
	"no pattern":          {Error: "host.3"},
	"label":               {Labels: map[string]string{"team": "sales"}},
	"label and status": {
		Labels: map[string]string{"team": "sales"}, Statuses: []pipelines.Status{pipelines.Failed},
		PipelineName: "p1",
	},
	"two labels": {Labels: map[string]string{"team": "sales", "tier": "1"}},
}

// chosen is what a filter chooses, by going through all runs.
func chosen(runs []listedRun, f engine.Filter) (ids []dbtype.ID) {
	for _, r := range slices.Backward(runs) {
		switch {
		case f.PipelineName != "" && r.pipeline != f.PipelineName, len(f.Statuses) > 0 &&
			!slices.Contains(f.Statuses, r.status),
			!f.Since.IsZero() && r.created.Before(f.Since.Time), !f.Until.IsZero() && !r.created.Before(f.Until.Time),
			f.Error != "" && !strings.Contains(strings.ToLower(r.failure), strings.ToLower(f.Error)),
			len(f.Labels) > 0 && r.team != f.Labels["team"], len(f.Labels) > 1,
			!f.Before.IsZero() && r.id.String() >= f.Before.String():
		default:
			ids = append(ids, r.id)
		}
	}
	return ids
}

// TestListings: each filter chooses what it says, page by page, newest first; counts agree; and an index serves it on
// both databases.
func TestListings(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := engine.NewRepository(d, eventstore.NewRepository(d))
		runs := fillList(t, d)
		for name, f := range listings {
			want := chosen(runs, f)
			got, err := r.IDs(t.Context(), f)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%s: %d executions, want %d (%v)", name, len(got), len(want), err)
			}
			if n, err := r.Count(t.Context(), f); err != nil || n != int64(len(want)) {
				t.Errorf("%s: counted %d, want %d (%v)", name, n, len(want), err)
			}
			counts, err := r.Counts(t.Context(), f)
			sum := int64(0)
			for _, c := range counts {
				sum += c.Count
			}
			if err != nil || sum != int64(len(want)) {
				t.Errorf("%s: %v sum up to %d, want %d (%v)", name, counts, sum, len(want), err)
			}
			f.Limit = 20
			pages(t, r, name, f, want[:min(len(want), 65)])
			if lines := plan(t, d, f); slices.ContainsFunc(lines, func(line string) bool { return scansAll(line, f) }) {
				t.Errorf("%s is not served by an index:\n%s", name, strings.Join(lines, "\n"))
			}
		}
	})
}

// scansAll reports whether a line of a plan reads a whole table, or a whole index where there is a condition.
func scansAll(line string, f engine.Filter) bool {
	if strings.Contains(line, "Seq Scan") {
		return true
	}
	_, table, scan := strings.Cut(line, "SCAN ")
	if !scan || strings.HasPrefix(table, "(subquery") || strings.HasPrefix(table, "b") {
		return false
	}
	if strings.Contains(line, "pipeline_executions_open") || strings.Contains(line, "pipeline_executions_failed") {
		return false // a partial index, of few runs
	}
	return !strings.Contains(line, "USING") || f.PipelineName != "" || len(f.Labels) > 0
}

func pages(t *testing.T, r *engine.Repository, name string, f engine.Filter, want []dbtype.ID) {
	t.Helper()
	for at := 0; at < len(want); at += f.Limit {
		page, err := r.IDs(t.Context(), f)
		end := min(at+f.Limit, len(want))
		if err != nil || len(page) < end-at || !slices.Equal(page[:end-at], want[at:end]) {
			t.Fatalf("%s: page from %d: %v (%v)", name, at, page, err)
		}
		f.Before = page[len(page)-1]
	}
}

// plan is how the database would answer a filter.
func plan(t *testing.T, d *db.DB, f engine.Filter) (lines []string) {
	t.Helper()
	text, args := engine.ListStatement(f)
	prefix := "EXPLAIN "
	if d.Backend() == "sqlite" {
		prefix = "EXPLAIN QUERY PLAN "
	}
	err := d.Query(t.Context(), prefix+text, args, func(scan db.Scan) error {
		var line string
		var a, b, c int
		lines = append(lines, "")
		if d.Backend() == "sqlite" {
			err := scan(&a, &b, &c, &line)
			lines[len(lines)-1] = line
			return err
		}
		return scan(&lines[len(lines)-1])
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}
