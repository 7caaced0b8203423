// Package eventstore stores the history: one row for each transition of a task or a pipeline, written in the
// transition's own transaction. It appends and reads events. It never changes an event; only retention removes events.
package eventstore

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Repository reads and appends events.
type Repository struct {
	db *db.DB
}

// NewRepository returns a repository for a database.
func NewRepository(d *db.DB) *Repository { return &Repository{db: d} }

// table is the table of the events. The database numbers them.
var (
	table    = db.ModelOf[events.Event]("execution_events")
	inserted = table.Without("sequence_num")
)

// Append writes events in the transaction that they record. The events of one task, or of one pipeline, are written
// in the given order. The order between tasks may change, because similar events are grouped. Append sets the ids and
// times of the events in list.
func (r *Repository) Append(b *db.Batch, list []events.Event) {
	if len(list) == 0 {
		return
	}
	tx, id := b.Tx(), dbtype.NewID()
	groups := groupByShape(list)
	tx.CommitProbe("execution_events", "pipeline_execution_id", groups[0][0].PipelineExecutionID, id)
	for _, group := range groups {
		for i := range group {
			group[i].ID, group[i].CreatedAt = id.Offset(i), tx.Now
		}
		inserted.Insert(b, "append events", db.Pointers(group))
		id = id.Offset(len(group))
	}
}

// Page bounds a listing. Listings ascend by sequence_num, unless Filter.Newest is set.
type Page struct {
	After int64       // only events with a greater sequence_num, or a smaller one for Newest; 0: all
	Since dbtype.Time // only events at or after this time; zero: all
	Limit int         // maximum number of events; 0: all
}

// Filter selects events. A zero field selects all.
type Filter struct {
	PipelineExecutionID dbtype.ID
	TaskExecutionID     dbtype.ID
	EventType           events.Type
	Newest              bool // descending by sequence_num
	Page
}

// ListByPipeline returns the events of a pipeline execution and of its tasks.
func (r *Repository) ListByPipeline(ctx context.Context, id dbtype.ID, page Page) ([]events.Event, error) {
	return r.List(ctx, Filter{PipelineExecutionID: id, Page: page})
}

// ListByTask returns the events of a task execution.
func (r *Repository) ListByTask(ctx context.Context, id dbtype.ID, page Page) ([]events.Event, error) {
	return r.List(ctx, Filter{TaskExecutionID: id, Page: page})
}

// ListByType returns the events of a type.
func (r *Repository) ListByType(ctx context.Context, t events.Type, page Page) ([]events.Event, error) {
	return r.List(ctx, Filter{EventType: t, Page: page})
}

// GetRecent returns the newest events, newest first.
func (r *Repository) GetRecent(ctx context.Context, limit int) ([]events.Event, error) {
	return r.List(ctx, Filter{Newest: true, Page: Page{Limit: limit}})
}

// List returns the events that a filter selects.
func (r *Repository) List(ctx context.Context, f Filter) ([]events.Event, error) {
	q, err := r.query(ctx, f)
	if err != nil {
		return nil, err
	}
	list := []events.Event{}
	if err := q.Find(&list).Error; err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return list, nil
}

// CountByPipeline returns how many events a pipeline execution and its tasks have.
func (r *Repository) CountByPipeline(ctx context.Context, id dbtype.ID) (int64, error) {
	q, err := r.query(ctx, Filter{PipelineExecutionID: id})
	if err != nil {
		return 0, err
	}
	var n int64
	if err := q.Order(nil).Count(&n).Error; err != nil {
		return 0, fmt.Errorf("count events: %w", err)
	}
	return n, nil
}

// common are the types that every run writes for every task. The index by type leaves them out (see the migration).
var common = []events.Type{
	events.TaskCreated, events.TaskMarkedReady, events.TaskClaimed, events.TaskStarted,
	events.TaskCompleted, events.PipelineStarted, events.PipelineCompleted,
}

// rare repeats the condition of that index literally, so that SQLite recognises that the index applies.
const rare = `event_type NOT IN ('task_created', 'task_marked_ready', 'task_claimed', 'task_started', ` +
	`'task_completed', 'pipeline_started', 'pipeline_completed')`

func (r *Repository) query(ctx context.Context, f Filter) (*gorm.DB, error) {
	q, err := r.db.Read(ctx, "execution_events")
	if err != nil {
		return nil, err
	}
	if !f.TaskExecutionID.IsZero() {
		// There is no index by task, because a pipeline has few events, and one index less is worth a tenth of the
		// throughput.
		q = q.Where("task_execution_id = ?", f.TaskExecutionID).
			Where("pipeline_execution_id = (?)", q.Session(&gorm.Session{NewDB: true}).
				Table(q.NamingStrategy.TableName("task_executions")).
				Select("pipeline_execution_id").Where("id = ?", f.TaskExecutionID))
	}
	if !f.PipelineExecutionID.IsZero() {
		q = q.Where("pipeline_execution_id = ?", f.PipelineExecutionID)
	}
	if f.EventType != "" {
		q = q.Where("event_type = ?", string(f.EventType))
		if !slices.Contains(common, f.EventType) {
			q = q.Where(rare)
		}
	}
	if !f.Since.IsZero() {
		q = q.Where("created_at >= ?", f.Since)
	}
	return paged(q, f), nil
}

func paged(q *gorm.DB, f Filter) *gorm.DB {
	order, beyond := "sequence_num", "sequence_num > ?"
	if f.Newest {
		order, beyond = "sequence_num DESC", "sequence_num < ?"
	}
	if f.After > 0 {
		q = q.Where(beyond, f.After)
	}
	if f.Limit > 0 {
		q = q.Limit(f.Limit)
	}
	return q.Order(order)
}

// FirstAfter returns the time of a task's first event of the given type that comes after its last event of any type in
// after, in the order of versions. It returns the zero time if there is none. It reads all of the execution's events,
// because there is no index by task, so it is not meant for frequent calls.
func (r *Repository) FirstAfter(
	ctx context.Context, pipeline, task dbtype.ID, of events.Type, after ...events.Type,
) (dbtype.Time, error) {
	names := make([]string, len(after))
	for i, t := range after {
		names[i] = string(t)
	}
	var at dbtype.Time
	err := r.db.Query(ctx, `SELECT created_at FROM {execution_events}
WHERE pipeline_execution_id = $pipeline AND task_execution_id = $task AND event_type = $type AND version > coalesce((
  SELECT max(version) FROM {execution_events}
  WHERE pipeline_execution_id = $pipeline AND task_execution_id = $task AND event_type IN (SELECT name FROM $after)), 0)
ORDER BY version LIMIT 1`, db.Args{
		"pipeline": pipeline, "task": task, "type": string(of), "after": db.NewRowSet(len(names)).Texts("name", names),
	}, func(scan db.Scan) error { return scan(&at) })
	if err != nil {
		return dbtype.Time{}, fmt.Errorf("look for the first %s: %w", of, err)
	}
	return at, nil
}
