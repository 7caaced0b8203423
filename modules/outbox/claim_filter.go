package outbox

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/platform/db"
)

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
