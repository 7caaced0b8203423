package app_test

import (
	"testing"

	"github.com/sluiceworks/sluice/modules/chores"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestModelsMatchMigrations checks that each model has the columns of its migrated table, on both databases, with
// types that can hold them.
func TestModelsMatchMigrations(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, model := range []any{
			&chores.JobLease{}, &events.Event{}, &leases.Worker{}, &leases.Recovery{}, &outbox.Entry{}, &pipelines.Execution{},
			&pipelines.StoredDefinition{}, &tasks.Chunk{}, &tasks.Task{},
		} {
			dbtest.CheckModel(t, d, model)
		}
	})
}
