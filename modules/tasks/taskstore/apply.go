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
// The statements are added to the batch: rows, then events, then the outbox. If Apply returns an error, the caller must
// roll the transaction back. The error is ErrIllegal for a transition that the table does not allow. If a row has
// another version, sending the batch fails with ErrVersionConflict.
func (r *Repository) Apply(b *db.Batch, moves []*tasks.Change) error {
	if len(moves) == 0 {
		return nil
	}
	for _, m := range moves {
		if err := m.Err(); err != nil {
			return err
		}
	}
	writeRows(b, moves)
	history, known := make([]events.Event, 0, 3*len(moves)), tasks.EventDataCache{}
	for _, m := range moves {
		var err error
		if history, err = m.AppendEvents(history, known); err != nil {
			return err
		}
	}
	r.events.Append(b, history)
	r.changeOutbox(b, moves)
	return nil
}

// writeRows inserts new rows and updates existing ones, with one statement for each sequence of transitions. Each
// statement writes its rows in the order of their ids, so that transactions do not deadlock.
func writeRows(b *db.Batch, moves []*tasks.Change) {
	var created []*tasks.Task
	groups := map[statementKey][]*tasks.Change{}
	var order []statementKey
	for _, m := range moves {
		if m.ReadVersion == 0 {
			created = append(created, &m.Task)
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
	if len(created) > 0 {
		table.Insert(b, "write tasks", created)
	}
	for _, k := range order {
		k.write(b, groups[k])
	}
}

// statementKey is the key by which changes are grouped into statements: their transitions, and the holder of the claims
// that they end.
type statementKey struct {
	update *update
	holder dbtype.Text
}

func (k statementKey) write(b *db.Batch, group []*tasks.Change) {
	slices.SortFunc(group, func(a, b *tasks.Change) int { return bytes.Compare(a.Task.ID[:], b.Task.ID[:]) })
	ids, versions, rows := make([]dbtype.ID, len(group)), make([]int64, len(group)), make([]*tasks.Task, len(group))
	for i, m := range group {
		ids[i], versions[i], rows[i] = m.Task.ID, m.ReadVersion, &m.Task
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
	args["x"] = k.update.columns.AddTo(set.WriteOnly(), rows)
	b.ExecExpect("write tasks", k.update.sql, args, int64(len(group)), func(n int64) error {
		return fmt.Errorf("%w: %d of %d rows had the version and the claim that were read", tasks.ErrVersionConflict, n,
			len(group))
	})
}

// changeOutbox deletes the outbox rows of tasks that stop being Ready and inserts those of tasks that become Ready. It
// does not delete the row of a claimed task, because the claim has already deleted it in the same transaction.
func (r *Repository) changeOutbox(b *db.Batch, moves []*tasks.Change) {
	var remove []dbtype.ID
	var add []outbox.Entry
	for _, m := range moves {
		last := m.Steps[len(m.Steps)-1].Transition
		switch {
		case last.Outbox == tasks.OutboxAdd && !m.NoOutbox:
			at := m.Task.RetryAt
			if at.IsZero() {
				at = b.Tx().Now
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
		r.outbox.DeleteByTask(b, remove)
	}
	if len(add) > 0 {
		r.outbox.Enqueue(b, add)
	}
}

// OutboxEntry returns the outbox row of a task, which becomes due at the given time.
func OutboxEntry(t *tasks.Task, at dbtype.Time) outbox.Entry {
	return outbox.Entry{
		TaskExecutionID: t.ID, PipelineExecutionID: t.PipelineExecutionID, Handler: t.Handler, Queue: t.Queue,
		Lane:        outbox.LaneOf(t.Priority),
		AvailableAt: at,
	}
}
