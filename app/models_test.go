package app_test

import (
	"testing"

	"github.com/sluiceworks/sluice/modules/chores"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestModelsMatchMigrations checks that each model has the columns of its migrated table, on both databases, with
// types that can hold them.
func TestModelsMatchMigrations(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for table, model := range map[string]any{
			"chores": &chores.JobLease{}, "execution_events": &events.Event{}, "workers": &leases.Worker{},
			"recoveries": &leases.Recovery{}, "task_outbox": &outbox.Entry{},
			"pipeline_executions":  &pipelines.Execution{},
			"pipeline_definitions": &engine.StoredDefinition{}, "log_chunks": &tasks.Chunk{},
			"task_executions": &tasks.Task{},
		} {
			dbtest.CheckModel(t, d, table, model)
		}
	})
}
