package outbox_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestTakeGoesByPriority: a handler whose room is used up makes no way for less urgent tasks of another.
func TestTakeGoesByPriority(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		var rows []outbox.Entry
		for lane, handlers := range map[int][]string{
			outbox.LaneOf(0): {"shell", "shell", "shell", "other", "other"},
			outbox.LaneOf(1): {"other", "other", "other"},
		} {
			for i, handler := range handlers {
				row := f.row(handler, -time.Hour+time.Duration(i)*time.Minute)
				row.Lane = lane
				rows = append(rows, row)
			}
		}
		f.put(rows...)
		lane := map[dbtype.ID]int{}
		for _, row := range rows {
			lane[row.TaskExecutionID] = row.Lane
		}
		got := f.take(outbox.ClaimFilter{
			Handlers: []string{"other", "shell"}, Limit: 3,
			Capacity: map[string]int{"shell": 1},
		})
		left := 0
		for _, row := range rows {
			if row.Handler == "other" && row.Lane == outbox.LaneOf(0) && !slices.Contains(got, row.TaskExecutionID) {
				left++
			}
		}
		for _, id := range got {
			if lane[id] != outbox.LaneOf(0) && left > 0 {
				t.Errorf("a task of lane %d was taken while %d more urgent ones of its handler are left", lane[id],
					left)
			}
		}
	})
}

// TestTakeAcrossLanes: of rows of any lanes and handlers, never more than the limit and the rooms, the first of each
// handler, in the order of the lanes; without rooms, just the first ones; and nothing is lost.
func TestTakeAcrossLanes(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		rapid.Check(t, func(rt *rapid.T) {
			f.remove(f.pending()...)
			before := map[dbtype.ID]outbox.Entry{}
			base := f.d.Now().Add(-time.Hour)
			for i := range rapid.IntRange(0, 30).Draw(rt, "rows") {
				row := outbox.Entry{
					TaskExecutionID: dbtype.NewID(), Handler: rapid.SampledFrom([]string{"a", "a", "b", "b", "c"}).
								Draw(rt, "handler"),
					Lane: rapid.IntRange(0, 3).
						Draw(rt, "lane"), AvailableAt: dbtype.NewTime(base.Add(time.Duration(i) * time.Second)),
				}
				f.put(row)
				before[row.TaskExecutionID] = row
			}
			want := outbox.ClaimFilter{
				Handlers: []string{"a", "b"}, Limit: rapid.IntRange(1, 8).
						Draw(rt, "limit"), OverflowFirst: rapid.Bool().Draw(rt, "bulk first"),
				Capacity: map[string]int{},
			}
			for _, handler := range []string{"a", "c"} {
				if rapid.Bool().Draw(rt, "limited") {
					want.Capacity[handler] = rapid.IntRange(0, 3).Draw(rt, "room")
				}
			}
			checkTaken(rt, want, before, f.take(want))
		})
	})
}

// place is a row's among all, by the order in which they are taken.
func place(want outbox.ClaimFilter, r outbox.Entry) (lane int, at time.Time) {
	if want.OverflowFirst {
		return r.Lane ^ 1, r.AvailableAt.Time
	}
	return r.Lane, r.AvailableAt.Time
}

func checkTaken(t *rapid.T, want outbox.ClaimFilter, before map[dbtype.ID]outbox.Entry, ids []dbtype.ID) {
	t.Helper()
	by := func(x, y outbox.Entry) int {
		xl, xt := place(want, x)
		yl, yt := place(want, y)
		return cmp.Or(cmp.Compare(xl, yl), xt.Compare(yt))
	}
	waiting := map[string][]outbox.Entry{}
	var all []outbox.Entry
	for _, r := range before {
		if slices.Contains(want.Handlers, r.Handler) {
			waiting[r.Handler], all = append(waiting[r.Handler], r), append(all, r)
		}
	}
	taken := map[string][]dbtype.ID{}
	for i, id := range ids {
		r, ok := before[id]
		if !ok || !slices.Contains(want.Handlers, r.Handler) {
			t.Fatalf("%s, of %q, is none of those wanted", id, r.Handler)
		}
		if i > 0 && r.Lane/2 < before[ids[i-1]].Lane/2 {
			t.Fatalf("%d of lane %d comes behind one of lane %d", i, r.Lane, before[ids[i-1]].Lane)
		}
		taken[r.Handler] = append(taken[r.Handler], id)
	}
	if len(ids) > want.Limit {
		t.Fatalf("%d were taken, the limit is %d", len(ids), want.Limit)
	}
	slices.SortFunc(all, by)
	for handler, list := range waiting {
		slices.SortFunc(list, by)
		room, limited := want.Capacity[handler]
		if n := len(taken[handler]); limited && n > room {
			t.Fatalf("%d of %s were taken, the room is %d", n, handler, room)
		}
		for _, r := range list[:len(taken[handler])] {
			if !slices.Contains(taken[handler], r.TaskExecutionID) {
				t.Fatalf("of %s, one of lane %d was passed by", handler, r.Lane)
			}
		}
	}
	if _, limited := want.Capacity["a"]; limited {
		return
	}
	for _, r := range all[:min(want.Limit, len(all))] {
		if !slices.Contains(ids, r.TaskExecutionID) {
			t.Fatalf("one of lane %d was passed by, though there was room", r.Lane)
		}
	}
}

// TestTakeKeepsAShortPlan: the look's plan is made for an empty table, and kept; when tens of thousands of rows lie
// there that are not wanted, of another queue or due in a year, it still reads those alone that it takes. The server
// knows nothing of the rows.
func TestTakeKeepsAShortPlan(t *testing.T) {
	t.Parallel()
	u := dbtest.PostgresURL(t)
	sign := "?"
	if strings.Contains(u, "?") {
		sign = "&"
	}
	d := dbtest.Open(t, u+sign+"pool_max_conns=1")
	f := &fixture{t, d, outbox.NewRepository(d)}
	exec := func(statement string) {
		t.Helper()
		if err := f.write(func(b *db.Batch) { b.Exec("", statement, nil) }); err != nil {
			t.Fatal(err)
		}
	}
	exec(`ALTER TABLE {task_outbox} SET (autovacuum_enabled = off)`)
	for range 7 {
		f.same("an empty table", nil, nilIfEmpty(f.take(anyHandler)))
	}
	const fill = `INSERT INTO {task_outbox} (task_execution_id, handler, queue, lane, available_at, created_at)
SELECT gen_random_uuid(), 'shell', '%s', n %% 6, now() + interval '%s', now() FROM generate_series(1, 20000) AS n`
	exec(fmt.Sprintf(fill, "other", "-1 hour"))
	exec(fmt.Sprintf(fill, "default", "1 year"))
	due := []outbox.Entry{f.row("shell", -time.Minute), f.row("shell", -time.Second)}
	f.put(due...)
	var took []dbtype.ID
	var entries, rows, generic, custom int64
	err := f.within(func(tx db.Tx) (err error) {
		if took, err = f.claim(tx, anyHandler); err != nil {
			return err
		}
		return tx.Query(`SELECT (SELECT sum(pg_stat_get_xact_tuples_returned(indexrelid)) FROM pg_catalog.pg_index
  WHERE indrelid = c.oid)::bigint,
  (pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid))::bigint,
  p.generic_plans, p.custom_plans
FROM pg_catalog.pg_class AS c, pg_catalog.pg_prepared_statements AS p WHERE c.relname = 'task_outbox'
  AND p.statement LIKE 'WITH due%'`,
			nil, func(scan db.Scan) error { return scan(&entries, &rows, &generic, &custom) })
	})
	if err != nil {
		t.Fatal(err)
	}
	f.same("taken", tasksOf(due...), took)
	t.Logf("%d entries of indexes, %d rows; %d generic plans, %d custom ones", entries, rows, generic, custom)
	if generic != 8 || custom != 0 {
		t.Errorf("%d generic plans, %d custom ones, expected that one is kept for all 8 looks", generic, custom)
	}
	if entries+rows == 0 || entries > 20 || rows > 20 {
		t.Errorf("%d entries of indexes and %d rows were read to take 2", entries, rows)
	}
}
