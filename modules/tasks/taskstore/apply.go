// Package taskstore stores tasks and their output. Repository.Apply writes the row, the event and the outbox row of
// each transition in one transaction. No other function writes the status of a task.
package taskstore

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Repository reads tasks and applies changes to them.
type Repository struct {
	db     *db.DB
	events *eventstore.Repository
	outbox *outbox.Repository
}

// NewRepository returns a repository that uses the database d.
func NewRepository(d *db.DB, e *eventstore.Repository, o *outbox.Repository) *Repository {
	return &Repository{db: d, events: e, outbox: o}
}

// Apply writes changes. It updates the rows that still have the versions that were read, appends one event for each
// step, and updates the outbox. No other function writes a task's status.
//
// If Apply returns an error, the caller must roll the transaction back. The error is ErrIllegal for a transition that
// the table does not allow. If a row has another version, the error is ErrVersionConflict. It is reported when the
// queued statements are sent, which may be after Apply has returned.
func (r *Repository) Apply(tx db.Tx, moves []*tasks.Change) error {
	if len(moves) == 0 {
		return nil
	}
	for _, m := range moves {
		if err := m.Err(); err != nil {
			return err
		}
	}
	if err := r.writeRows(tx, moves); err != nil {
		return err
	}
	history, known := make([]events.Event, 0, 3*len(moves)), tasks.EventDataCache{}
	for _, m := range moves {
		var err error
		if history, err = m.AppendEvents(history, known); err != nil {
			return err
		}
	}
	r.events.Append(tx, history)
	return r.changeOutbox(tx, moves)
}

// writeRows inserts new rows and updates existing ones, with one statement for each sequence of transitions. Each
// statement writes its rows in the order of their ids, so that transactions do not deadlock.
func (r *Repository) writeRows(tx db.Tx, moves []*tasks.Change) error {
	var created []*tasks.Change
	groups := map[statementKey][]*tasks.Change{}
	var order []statementKey
	for _, m := range moves {
		if m.ReadVersion == 0 {
			created = append(created, m)
			continue
		}
		k := statementKey{update: updateFor(m.Steps)}
		if k.update.fenced {
			k.holder = m.Holder
		}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], m)
	}
	if err := insert(tx, created); err != nil {
		return err
	}
	for _, k := range order {
		if err := k.write(tx, groups[k]); err != nil {
			return err
		}
	}
	return nil
}

// statementKey is the key by which changes are grouped into statements: their transitions, and the holder of the claims
// that they end.
type statementKey struct {
	update *update
	holder dbtype.Text
}

func (k statementKey) write(tx db.Tx, group []*tasks.Change) error {
	slices.SortFunc(group, func(a, b *tasks.Change) int { return bytes.Compare(a.Task.ID[:], b.Task.ID[:]) })
	ids, versions := make([]dbtype.ID, len(group)), make([]int64, len(group))
	for i, m := range group {
		ids[i], versions[i] = m.Task.ID, m.ReadVersion
	}
	set, args := db.IDRows(ids).Ints("version", versions), db.Args{}
	if k.update.fenced {
		since := make([]dbtype.Time, len(group))
		for i, m := range group {
			since[i] = m.Since
		}
		set.Times("since", since)
		args["holder"] = string(k.holder)
	}
	args["x"] = set.WriteOnly()
	for _, c := range k.update.columns {
		c.add(set, c.name, group)
	}
	return tx.QueueExpect("write tasks", k.update.sql, args, int64(len(group)), func(n int64) error {
		return fmt.Errorf("%w: %d of %d rows had the version and the claim that were read", tasks.ErrVersionConflict, n,
			len(group))
	})
}

// insert inserts the rows of new tasks.
func insert(tx db.Tx, moves []*tasks.Change) error {
	n := len(moves)
	ids, pipelines := make([]dbtype.ID, n), make([]dbtype.ID, n)
	names, handlers, queues, statuses := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	versions, priorities := make([]int64, n), make([]int64, n)
	for i, m := range moves {
		t := &m.Task
		ids[i], pipelines[i], names[i], handlers[i], queues[i] = t.ID, t.PipelineExecutionID, t.TaskName, t.Handler,
			t.Queue
		statuses[i], versions[i], priorities[i] = string(t.Status), t.Version, int64(t.Priority)
	}
	set := db.IDRows(ids).WriteOnly().IDs("pipeline_execution_id", pipelines).Texts("task_name", names).
		Texts("handler", handlers).
		Texts("queue", queues).Ints("priority", priorities).Texts("status", statuses).Ints("version", versions)
	for _, c := range []column{maxAttempts, remaining, errorText, completedAt} {
		c.add(set, c.name, moves)
	}
	reason, kind := "NULL", "NULL"
	if slices.ContainsFunc(moves, func(m *tasks.Change) bool { return m.Task.SkipReason != tasks.NoSkipReason }) {
		skipReason.add(set, skipReason.name, moves)
		reason = "x.skip_reason"
	}
	if slices.ContainsFunc(moves, func(m *tasks.Change) bool { return m.Task.ErrorKind != "" }) {
		errorKind.add(set, errorKind.name, moves)
		kind = "x.error_kind"
	}
	return tx.QueueExec("write tasks",
		`INSERT INTO {task_executions} (id, pipeline_execution_id, task_name, handler, queue, priority, status,
  version, max_attempts,
  remaining_dependencies, error, completed_at, attempt, recoveries, skip_reason, error_kind, created_at)
SELECT x.id, x.pipeline_execution_id, x.task_name, x.handler, x.queue, x.priority, x.status, x.version, x.max_attempts,
  x.remaining_dependencies, x.error, x.completed_at, 0, 0, `+reason+`, `+kind+`, $now
  FROM $x $keep_plan`, db.Args{"x": set, "now": tx.Now})
}

// changeOutbox deletes the outbox rows of tasks that stop being Ready and inserts those of tasks that become Ready. It
// does not delete the row of a claimed task, because the claim has already deleted it in the same transaction.
func (r *Repository) changeOutbox(tx db.Tx, moves []*tasks.Change) error {
	var remove []dbtype.ID
	var add []outbox.Entry
	for _, m := range moves {
		last := m.Steps[len(m.Steps)-1].Transition
		switch {
		case last.Outbox == tasks.OutboxAdd && !m.NoOutbox:
			at := m.Task.RetryAt
			if at.IsZero() {
				at = tx.Now
			}
			row := OutboxEntry(&m.Task, at)
			if m.ReservedFor != "" {
				row.Queue = outbox.PrivateQueue(m.ReservedFor)
			}
			add = append(add, row)
		case last.Outbox == tasks.OutboxRemove && m.ReadVersion > 0:
			remove = append(remove, m.Task.ID)
		}
	}
	if len(remove) > 0 {
		if err := r.outbox.DeleteByTask(tx, remove); err != nil {
			return err
		}
	}
	if len(add) > 0 {
		return r.outbox.Enqueue(tx, add)
	}
	return nil
}
