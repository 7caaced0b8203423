package outbox

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/platform/db"
)

// A lane is a priority's due tasks, in two parts: what pipelines queue within their share, and bulk, what one queues
// beyond it in a single step. So a pipeline of ten thousand tasks does not stand in front of ten thousand small ones.
const (
	overflow  = 1
	burst     = 64 // tasks of one pipeline that a transaction queues before the rest is bulk
	laneCount = 6  // three priorities
)

// DefaultQueue is the queue of tasks, and of workers, that name none.
const DefaultQueue = "default"

// LaneOf is the lane of a priority, 0 being the highest.
func LaneOf(priority int) int { return 2 * priority }

// ClaimFilter says which rows a claim takes.
type ClaimFilter struct {
	Handlers []string // what the worker can run
	Queues   []string // those that it serves, the first served first; empty: the default one
	Limit    int      // no more than its free slots
	// no more than so many tasks of a handler; one that is not named has no limit of its own
	Capacity map[string]int
	// bulk goes before the rest of its priority; every few claims, so that neither starves
	OverflowFirst       bool
	PipelineExecutionID db.ID        // of this execution alone; zero: of any
	Cursors             *ScanCursors // where to begin; nil: at the beginning
}

// Claim removes due rows and returns their tasks, in the order of priority and then of time. Rows that another
// transaction is taking are passed by (Postgres), or are not there any more (SQLite, whose writers come one after the
// other).
func (r *Repository) Claim(tx db.Tx, want ClaimFilter) ([]db.ID, error) {
	t, err := r.QueueClaim(tx, want)
	if err == nil {
		err = tx.SendBatch()
	}
	if err != nil {
		return nil, err
	}
	return t.Tasks(), nil
}

// PendingClaim is a Take whose answer comes with the next Flush.
type PendingClaim struct {
	repository *Repository
	filter     ClaimFilter
	scan       *scan
	rows       []Entry
}

// QueueClaim is Take for which Tasks has the answer after the next Flush.
func (r *Repository) QueueClaim(tx db.Tx, want ClaimFilter) (*PendingClaim, error) {
	t := &PendingClaim{repository: r, filter: want, scan: want.Cursors.begin(tx.Now, tx.OldestOpen())}
	if want.PipelineExecutionID.IsZero() && !r.db.Lateral() {
		return t, t.byLane(tx)
	}
	args := db.Args{"now": tx.Now, "limit": want.Limit}
	statement := fmt.Sprintf(selectForExecution, want.filter(args))
	if want.PipelineExecutionID.IsZero() {
		args["x"] = want.lanes(t.scan)
		statement = fmt.Sprintf(selectAllLanes, want.filter(args))
	}
	return t, tx.QueueQuery(newPendingClaim, statement+want.selectTasks(args, r.db.In), args, t.entry)
}

const newPendingClaim = "take from the outbox"

// byLane takes by a statement for each lane: where none is a round trip, that is quicker than one about all of them.
func (t *PendingClaim) byLane(tx db.Tx) error {
	for _, lane := range t.filter.order() {
		for again := true; again; {
			left := t.remaining()
			if left.Limit == 0 {
				return nil
			}
			args := db.Args{"now": tx.Now, "limit": left.Limit, "queue": lane.queue, "lane": lane.number, "since": t.scan.from(lane)}
			if err := tx.Query(fmt.Sprintf(selectLane, left.filter(args))+left.selectTasks(args, t.repository.db.In), args, t.entry); err != nil {
				return fmt.Errorf("%s: %w", newPendingClaim, err)
			}
			// Rows that there was no room for may stand before others of this lane, which come before the next one.
			again = len(t.remaining().Handlers) < len(left.Handlers)
		}
	}
	return nil
}

// Minus is what is still wanted after tasks of these handlers: fewer in all, and less room for each of those.
func Minus[T any](w ClaimFilter, taken []T, handler func(T) string) ClaimFilter {
	w.Limit -= len(taken)
	w.Capacity = maps.Clone(w.Capacity)
	for _, x := range taken {
		if _, limited := w.Capacity[handler(x)]; limited {
			w.Capacity[handler(x)]--
		}
	}
	return w
}

// remaining is what is still wanted after what has been taken.
func (t *PendingClaim) remaining() ClaimFilter {
	w := Minus(t.filter, t.rows, func(row Entry) string { return row.Handler })
	w.Handlers = slices.DeleteFunc(slices.Clone(w.Handlers), func(name string) bool {
		room, limited := w.Capacity[name]
		return limited && room <= 0
	})
	return w
}

func (t *PendingClaim) entry(scan func(...any) error) error {
	var row Entry
	err := scan(&row.ID, &row.TaskExecutionID, &row.Handler, &row.Queue, &row.Lane, &row.AvailableAt)
	t.rows = append(t.rows, row)
	return err
}

// Tasks returns the tasks whose rows were taken, in the order of Rows. Only one of the two is to be called, and once.
func (t *PendingClaim) Tasks() []db.ID {
	rows := t.Rows()
	ids := make([]db.ID, len(rows))
	for i, row := range rows {
		ids[i] = row.TaskExecutionID
	}
	return ids
}

// Rows returns the rows that were taken, in the order of priority and then of time.
func (t *PendingClaim) Rows() []Entry {
	if t.scan != nil && t.wasCapped() {
		t.scan.recordEmpty(t.repository.db.Now(), false) // rows may lie before those that it took: it knows no head
	} else if t.scan != nil {
		last := map[lane]db.Time{}
		for _, row := range t.rows {
			if at := last[lane{row.Queue, row.Lane}]; row.AvailableAt.After(at.Time) {
				last[lane{row.Queue, row.Lane}] = row.AvailableAt
			}
		}
		t.scan.recordRows(t.repository.db.Now(), t.filter.queues(), last, len(t.rows) >= t.filter.Limit)
	}
	slices.SortFunc(t.rows, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Lane/2, b.Lane/2), a.AvailableAt.Compare(b.AvailableAt.Time), cmp.Compare(a.ID, b.ID))
	})
	return t.rows
}

// wasCapped reports whether rows of a handler may have been left because there was no room for them.
func (t *PendingClaim) wasCapped() bool {
	taken := map[string]int{}
	for _, row := range t.rows {
		taken[row.Handler]++
	}
	for handler, room := range t.filter.saturating() {
		if taken[handler] >= room {
			return true
		}
	}
	return false
}

// selectForExecution looks for the rows of one execution.
const selectForExecution = `WITH due AS MATERIALIZED (SELECT id, handler, lane, available_at FROM {task_outbox} WHERE available_at <= $now%s
ORDER BY available_at, id LIMIT $limit $skip_locked)`

// selectLane looks at a short range of the index, for one lane.
const selectLane = `WITH due AS MATERIALIZED (SELECT id, handler, lane, available_at FROM {task_outbox}
  WHERE queue = $queue AND lane = $lane AND available_at >= $since AND available_at <= $now%s ORDER BY available_at, id LIMIT $limit)`

// selectAllLanes does so for each lane of each queue, the higher priority first, until there are enough.
const selectAllLanes = `WITH due AS MATERIALIZED (SELECT o.* FROM $x CROSS JOIN LATERAL (
  SELECT id, handler, lane, available_at FROM {task_outbox} WHERE queue = x.queue AND lane = x.lane AND available_at >= x.since AND available_at <= $now%s
  ORDER BY available_at, id LIMIT $limit $skip_locked) AS o LIMIT $limit) $keep_plan`

// order is the lanes in the order in which they are looked at.
func (w ClaimFilter) order() (list []lane) {
	for number := range laneCount {
		if w.OverflowFirst {
			number ^= overflow
		}
		for _, queue := range w.queues() {
			list = append(list, lane{queue, number})
		}
	}
	return list
}

// lanes is order as a set, with where each is looked at from.
func (w ClaimFilter) lanes(l *scan) *db.RowSet {
	order := w.order()
	queues, numbers, since := make([]string, len(order)), make([]int64, len(order)), make([]db.Time, len(order))
	for i, lane := range order {
		queues[i], numbers[i], since[i] = lane.queue, int64(lane.number), l.from(lane)
	}
	return db.NewRowSet(len(order)).Texts("queue", queues).Ints("lane", numbers).Times("since", since)
}

func (w ClaimFilter) queues() []string {
	if len(w.Queues) == 0 {
		return []string{DefaultQueue}
	}
	return w.Queues
}

// saturating gives the handlers looked for that have less room than the look may take in all.
func (w ClaimFilter) saturating() map[string]int {
	rooms := maps.Clone(w.Capacity)
	maps.DeleteFunc(rooms, func(handler string, room int) bool { return room >= w.Limit || !slices.Contains(w.Handlers, handler) })
	return rooms
}

// selectTasks removes those of the due rows that there is room for: of a handler with little room, its first ones.
func (w ClaimFilter) selectTasks(args db.Args, in func(query string) string) string {
	fitting := "due"
	if tight := w.saturating(); len(tight) > 0 {
		fitting = w.capPerHandler(tight, args)
	}
	return `
DELETE FROM {task_outbox} WHERE id ` + in(`SELECT id FROM `+fitting) + ` RETURNING id, task_execution_id, handler, queue, lane, available_at`
}

func (w ClaimFilter) capPerHandler(tight map[string]int, args db.Args) string {
	bulkLast := "lane"
	if w.OverflowFirst {
		bulkLast = "lane DESC"
	}
	var fits []string
	for _, handler := range slices.Sorted(maps.Keys(tight)) {
		name := "room" + strconv.Itoa(len(args))
		args[name] = tight[handler]
		fits = append(fits, "NOT (handler = "+quoted(handler)+" AND place > $"+name+")")
	}
	return `(SELECT id, handler, row_number() OVER (PARTITION BY handler ORDER BY lane / 2, ` + bulkLast + `, available_at, id) AS place FROM due) AS d
WHERE ` + strings.Join(fits, " AND ")
}

// Matches reports whether a row, were it due, would be taken if nothing else waited.
func (w ClaimFilter) Matches(row Entry) bool {
	if !w.PipelineExecutionID.IsZero() { // whatever queues its tasks are in
		return slices.Contains(w.Handlers, row.Handler) && w.PipelineExecutionID == row.PipelineExecutionID
	}
	return slices.Contains(w.Handlers, row.Handler) && slices.Contains(w.queues(), cmp.Or(row.Queue, DefaultQueue))
}

// filter keeps to what the worker can run.
func (w ClaimFilter) filter(args db.Args) string {
	var names []string
	for _, h := range w.Handlers {
		names = append(names, quoted(h))
	}
	if len(names) == 0 {
		return " AND false"
	}
	f := " AND handler IN (" + strings.Join(names, ", ") + ")"
	if !w.PipelineExecutionID.IsZero() {
		f += " AND task_execution_id IN (SELECT id FROM {task_executions} WHERE pipeline_execution_id = $pipeline)"
		args["pipeline"] = w.PipelineExecutionID
	}
	return f
}

// quoted is a name as a literal. Names of handlers and queues have been checked and hold nothing that means something
// in SQL.
func quoted(name string) string { return "'" + strings.ReplaceAll(name, "'", "''") + "'" }

// NextDueAt gives the earliest instant at which a row that is wanted is or becomes due; zero when there is none.
func (r *Repository) NextDueAt(ctx context.Context, want ClaimFilter) (db.Time, error) {
	args := db.Args{}
	filter := want.filter(args)
	l := want.Cursors.begin(db.NewTime(r.db.Now()), db.Time{})
	statement := `SELECT available_at FROM {task_outbox} WHERE true` + filter + ` ORDER BY available_at, id LIMIT 1`
	switch {
	case !want.PipelineExecutionID.IsZero():
	case r.db.Lateral():
		args["x"] = want.lanes(l)
		statement = `SELECT min(o.available_at) FROM $x CROSS JOIN LATERAL (SELECT available_at FROM {task_outbox}
  WHERE queue = x.queue AND lane = x.lane AND available_at >= x.since` + filter + ` ORDER BY available_at, id LIMIT 1) AS o`
	default:
		var parts []string
		for _, lane := range want.order() {
			parts = append(parts, `SELECT (SELECT available_at FROM {task_outbox} WHERE queue = `+quoted(lane.queue)+` AND lane = `+
				strconv.Itoa(lane.number)+l.bound(args, lane)+filter+` ORDER BY available_at, id LIMIT 1) AS at`)
		}
		statement = `SELECT min(at) FROM (` + strings.Join(parts, " UNION ALL ") + `) AS x`
	}
	var at db.Time
	err := r.db.Query(ctx, statement, args, func(scan func(...any) error) error { return scan(&at) })
	if err != nil {
		return db.Time{}, fmt.Errorf("look for the next due task: %w", err)
	}
	now := r.db.Now()
	l.recordEmpty(now, !at.IsZero() && !at.After(now))
	return at, nil
}
