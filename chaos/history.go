package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// history is the events of each task, by version.
type history map[dbtype.ID][]event

// event is the part of an event that the tests need.
type event struct {
	version int64
	kind    events.Type
	worker  string
	attempt int
	at      time.Time
	cause   string // of a reset
	lost    string // the worker that a reset took the task from
}

// data is the part of an event's data that the tests read. modules/tasks writes it.
type data struct {
	Attempt int    `json:"attempt"`
	Cause   string `json:"cause"`
	Worker  string `json:"worker"`
}

// readHistory reads the history of all tasks, in the order of versions.
func readHistory(ctx context.Context, d *db.DB) (history, error) {
	h := history{}
	err := d.Query(ctx, `SELECT task_execution_id, version, event_type, worker_id, event_data, created_at
  FROM {execution_events}
WHERE task_execution_id IS NOT NULL AND version IS NOT NULL ORDER BY pipeline_execution_id, sequence_num`,
		nil, func(scan db.Scan) error {
			var id dbtype.ID
			var e event
			var worker dbtype.Text
			var doc dbtype.JSON
			var at dbtype.Time
			if err := scan(&id, &e.version, &e.kind, &worker, &doc, &at); err != nil {
				return err
			}
			var v data
			if err := json.Unmarshal(doc, &v); err != nil {
				return fmt.Errorf("event data of task %s: %w", id, err)
			}
			e.worker, e.at, e.attempt, e.cause, e.lost = string(worker), at.Time, v.Attempt, v.Cause, v.Worker
			h[id] = append(h[id], e)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	return h, nil
}

// outcome reports whether an event can only come from a handler that ran.
func (e event) outcome() bool {
	switch e.kind {
	case events.TaskCompleted, events.TaskFailed, events.TaskRetryScheduled, events.TaskDeferred:
		return true
	}
	return false
}

// zombies finds outcomes that were written by a worker that did not hold the task. `sluice verify` also does, with
// other code.
func (h history) zombies() []string {
	var found []string
	for id, list := range h {
		holder := ""
		for _, e := range list {
			switch {
			case e.kind == events.TaskClaimed:
				holder = e.worker
			case e.outcome():
				if e.worker != holder {
					found = append(found,
						fmt.Sprintf("task %s: %s by %q while %q held it", id, e.kind, e.worker, holder))
				}
				holder = ""
			case e.kind == events.TaskReset, e.kind == events.TaskAbandoned, e.kind == events.TaskCancelled:
				holder = ""
			}
		}
	}
	return found
}

// expired finds claims by workers from which tasks had been taken before. The lease of such a worker had expired, so
// nobody would notice its end.
func (h history) expired() []string {
	first := map[string]time.Time{}
	for _, list := range h {
		for _, e := range list {
			if at, ok := first[e.lost]; e.cause == lost && (!ok || e.at.Before(at)) {
				first[e.lost] = e.at
			}
		}
	}
	var found []string
	for id, list := range h {
		for _, e := range list {
			if at, ok := first[e.worker]; ok && e.kind == events.TaskClaimed && e.at.After(at) {
				found = append(found,
					fmt.Sprintf("task %s: claimed by %s %s after its lease had expired", id, e.worker, e.at.Sub(at)))
			}
		}
	}
	return found
}

// delays returns how long after its worker's end each recovered task was claimed again. ends has the times by process
// id. cause is the cause of the reset. Delays that overlap an outage are left out.
func (h history) delays(ends map[int]time.Time, cause string, outages []span) []time.Duration {
	var list []time.Duration
	for _, events := range h {
		for i, e := range events {
			at, ok := ends[processOf(e.lost)]
			if !ok || e.cause != cause || e.at.Before(at) {
				continue // another kind of end, or taken before it because its lease had expired
			}
			if next, ok := claimAfter(events[i+1:]); ok && !within(outages, at, next) {
				list = append(list, next.Sub(at))
			}
		}
	}
	return list
}

func claimAfter(list []event) (time.Time, bool) {
	if len(list) > 0 && list[0].kind == events.TaskClaimed {
		return list[0].at, true
	}
	return time.Time{}, false // for example abandoned
}

// Causes of a reset in the history.
const (
	lost   = tasks.CauseLeaseExpired
	handed = tasks.CauseOperator
)
