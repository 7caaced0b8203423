package outbox

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ClaimFilter selects the rows that a claim takes.
type ClaimFilter struct {
	Handlers []string // handlers that the worker can run
	Queues   []string // queues that the worker serves, in this order; empty: tasks.DefaultQueue
	Limit    int      // maximum number of rows
	// maximum number of rows by handler; a handler without an entry is limited by Limit only
	Capacity map[string]int
	// claim the overflow of each priority first; set it in some claims only, so that neither part starves
	OverflowFirst       bool
	PipelineExecutionID dbtype.ID    // rows of this run only; zero: of all runs
	Cursors             *ScanCursors // where to begin the scan; nil: at the beginning
}

// Minus returns the filter that is left after a claim of the given tasks: Limit and the capacity of their handlers are
// reduced.
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

// order returns the lanes in the order in which they are scanned.
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

// lanes returns the lanes in scan order, each with the time at which its scan begins.
func (w ClaimFilter) lanes(l *scan) *db.RowSet {
	order := w.order()
	queues, numbers, since := make([]string, len(order)), make([]int64, len(order)), make([]dbtype.Time, len(order))
	for i, lane := range order {
		queues[i], numbers[i], since[i] = lane.queue, int64(lane.number), l.from(lane)
	}
	return db.NewRowSet(len(order)).Texts("queue", queues).Ints("lane", numbers).Times("since", since)
}

func (w ClaimFilter) queues() []string {
	if len(w.Queues) == 0 {
		return []string{tasks.DefaultQueue}
	}
	return w.Queues
}

// saturating returns the capacity of those handlers of the filter that have less capacity than Limit.
func (w ClaimFilter) saturating() map[string]int {
	capacities := maps.Clone(w.Capacity)
	maps.DeleteFunc(capacities, func(handler string, capacity int) bool {
		return capacity >= w.Limit || !slices.Contains(w.Handlers, handler)
	})
	return capacities
}

// selectTasks returns the statement that deletes the due rows for which there is capacity. If a handler has too little
// capacity, its first rows are deleted.
func (w ClaimFilter) selectTasks(args db.Args, in func(query string) string) string {
	fitting := "due"
	if tight := w.saturating(); len(tight) > 0 {
		fitting = w.capPerHandler(tight, args)
	}
	return `
DELETE FROM {task_outbox} WHERE id ` + in(`SELECT id FROM `+fitting) + ` RETURNING id, task_execution_id, handler,
  queue, lane, available_at`
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
	return `(SELECT id, handler, row_number() OVER (PARTITION BY handler ORDER BY lane / 2, ` + bulkLast +
		`, available_at, id) AS place FROM due) AS d
WHERE ` + strings.Join(fits, " AND ")
}

// Matches reports whether the filter would select a row if the row were due, regardless of limits.
func (w ClaimFilter) Matches(row Entry) bool {
	if !w.PipelineExecutionID.IsZero() { // in any queue
		return slices.Contains(w.Handlers, row.Handler) && w.PipelineExecutionID == row.PipelineExecutionID
	}
	return slices.Contains(w.Handlers, row.Handler) &&
		slices.Contains(w.queues(), cmp.Or(row.Queue, tasks.DefaultQueue))
}

// filter returns the condition that a row's handler is in Handlers and, if set, its run is PipelineExecutionID.
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

// quoted returns a name as an SQL literal. Names of handlers and queues have been validated and contain no special
// characters.
func quoted(name string) string { return "'" + strings.ReplaceAll(name, "'", "''") + "'" }
