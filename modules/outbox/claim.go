package outbox

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// A lane holds the tasks of one queue and one priority, in two parts with separate numbers. The first part has the
// first tasks that a transaction enqueues for a run. The overflow has the rest. Thus a run of ten thousand tasks does
// not delay ten thousand small runs.
const (
	// overflow is the bit of a lane's number that marks the overflow.
	overflow  = 1
	laneShare = 64 // tasks of one run that a transaction enqueues before the overflow
	laneCount = 6  // three priorities, two parts each
)

// LaneOf returns the lane number of a priority, without overflow. Priority 0 is the highest.
func LaneOf(priority int) int { return 2 * priority }

// PendingClaim is a claim in a batch. Its result is available after the batch has been sent.
type PendingClaim struct {
	repository *Repository
	filter     ClaimFilter
	scan       *scan
	rows       []Entry
}

// Claim adds to a batch a statement that deletes due rows that match the filter. After the batch has been sent, the
// result returns these rows. On PostgreSQL it skips rows that another transaction has locked. On SQLite there are none,
// because writers are serialized.
func (r *Repository) Claim(b *db.Batch, want ClaimFilter) (*PendingClaim, error) {
	tx := b.Tx()
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
	b.Query(claimErrPrefix, statement+want.selectTasks(args, r.db.In), args, t.entry)
	return t, nil
}

const claimErrPrefix = "take from the outbox"

// byLane claims with one statement per lane, at once. Without round trips to a server, this is faster than a single
// statement for all lanes.
func (t *PendingClaim) byLane(tx db.Tx) error {
	for _, lane := range t.filter.order() {
		for again := true; again; {
			left := t.remaining()
			if left.Limit == 0 {
				return nil
			}
			args := db.Args{
				"now": tx.Now, "limit": left.Limit, "queue": lane.queue, "lane": lane.number,
				"since": t.scan.from(lane),
			}
			if err := tx.Query(fmt.Sprintf(selectLane, left.filter(args))+left.selectTasks(args, t.repository.db.In),
				args, t.entry); err != nil {
				return fmt.Errorf("%s: %w", claimErrPrefix, err)
			}
			// Rows of a handler without capacity may precede other rows of this lane, which must be claimed before the
			// next lane.
			again = len(t.remaining().Handlers) < len(left.Handlers)
		}
	}
	return nil
}

// remaining returns the filter for what is left to claim. Handlers without capacity are removed.
func (t *PendingClaim) remaining() ClaimFilter {
	w := Minus(t.filter, t.rows, func(row Entry) string { return row.Handler })
	w.Handlers = slices.DeleteFunc(slices.Clone(w.Handlers), func(name string) bool {
		capacity, limited := w.Capacity[name]
		return limited && capacity <= 0
	})
	return w
}

func (t *PendingClaim) entry(scan db.Scan) error {
	var row Entry
	err := scan(&row.ID, &row.TaskExecutionID, &row.Handler, &row.Queue, &row.Lane, &row.AvailableAt)
	t.rows = append(t.rows, row)
	return err
}

// Rows returns the claimed rows, ordered by priority and then by due time. It also records in the cursors where the
// next scan may begin. Call it only once.
func (t *PendingClaim) Rows() []Entry {
	if t.scan != nil && len(t.Saturated()) > 0 {
		t.scan.recordEmpty(t.repository.db.Now(), false) // rows before the claimed ones may be left
	} else if t.scan != nil {
		last := map[lane]dbtype.Time{}
		for _, row := range t.rows {
			if at := last[lane{row.Queue, row.Lane}]; row.AvailableAt.After(at.Time) {
				last[lane{row.Queue, row.Lane}] = row.AvailableAt
			}
		}
		t.scan.recordRows(t.repository.db.Now(), t.filter.queues(), last, t.Full())
	}
	slices.SortFunc(t.rows, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Lane/2, b.Lane/2), a.AvailableAt.Compare(b.AvailableAt.Time),
			cmp.Compare(a.ID, b.ID))
	})
	return t.rows
}

// Full reports whether the claim took as many rows as its limit, so that more may be due.
func (t *PendingClaim) Full() bool { return len(t.rows) >= t.filter.Limit }

// Saturated returns the handlers of which the claim took as many rows as there was capacity for, so that more of theirs
// may be due.
func (t *PendingClaim) Saturated() (handlers []string) {
	claimed := map[string]int{}
	for _, row := range t.rows {
		claimed[row.Handler]++
	}
	for handler, capacity := range t.filter.saturating() {
		if claimed[handler] >= capacity {
			handlers = append(handlers, handler)
		}
	}
	return handlers
}

// selectForExecution selects the due rows of one run.
const selectForExecution = `WITH due AS MATERIALIZED (SELECT id, handler, lane, available_at FROM {task_outbox}
  WHERE available_at <= $now%s
ORDER BY available_at, id LIMIT $limit $skip_locked)`

// selectLane selects the due rows of one lane, in a short range of the index.
const selectLane = `WITH due AS MATERIALIZED (SELECT id, handler, lane, available_at FROM {task_outbox}
  WHERE queue = $queue AND lane = $lane AND available_at >= $since AND available_at <= $now%s
  ORDER BY available_at, id LIMIT $limit)`

// selectAllLanes selects the due rows of each lane of each queue, the highest priority first, up to the limit.
const selectAllLanes = `WITH due AS MATERIALIZED (SELECT o.* FROM $x CROSS JOIN LATERAL (
  SELECT id, handler, lane, available_at FROM {task_outbox} WHERE queue = x.queue AND lane = x.lane
  AND available_at >= x.since AND available_at <= $now%s
  ORDER BY available_at, id LIMIT $limit $skip_locked) AS o LIMIT $limit) $keep_plan`

// NextDueAt returns the earliest time at which a row that matches the filter is or becomes due. It returns the zero
// time if no row matches.
func (r *Repository) NextDueAt(ctx context.Context, want ClaimFilter) (dbtype.Time, error) {
	args := db.Args{}
	filter := want.filter(args)
	l := want.Cursors.begin(dbtype.NewTime(r.db.Now()), dbtype.Time{})
	statement := `SELECT available_at FROM {task_outbox} WHERE true` + filter + ` ORDER BY available_at, id LIMIT 1`
	switch {
	case !want.PipelineExecutionID.IsZero():
	case r.db.Lateral():
		args["x"] = want.lanes(l)
		statement = `SELECT min(o.available_at) FROM $x CROSS JOIN LATERAL (SELECT available_at FROM {task_outbox}
  WHERE queue = x.queue AND lane = x.lane AND available_at >= x.since` + filter + `
  ORDER BY available_at, id LIMIT 1) AS o`
	default:
		var parts []string
		for _, lane := range want.order() {
			parts = append(parts, `SELECT (SELECT available_at FROM {task_outbox} WHERE queue = `+quoted(lane.queue)+
				` AND lane = `+
				strconv.Itoa(lane.number)+l.bound(args, lane)+filter+` ORDER BY available_at, id LIMIT 1) AS at`)
		}
		statement = `SELECT min(at) FROM (` + strings.Join(parts, " UNION ALL ") + `) AS x`
	}
	var at dbtype.Time
	err := r.db.Query(ctx, statement, args, func(scan db.Scan) error { return scan(&at) })
	if err != nil {
		return dbtype.Time{}, fmt.Errorf("look for the next due task: %w", err)
	}
	now := r.db.Now()
	l.recordEmpty(now, !at.IsZero() && !at.After(now))
	return at, nil
}
