package app_test

import (
	"testing"

	"sluice/modules/chores"
	"sluice/modules/events"
	"sluice/modules/leases"
	"sluice/modules/outbox"
	"sluice/modules/pipelines"
	"sluice/modules/tasks"
	"sluice/platform/db"
	"sluice/platform/db/dbtest"
)

// TestModelsMatchMigrations: each model has the columns that its migrated table has, on both databases, and can hold them.
func TestModelsMatchMigrations(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, model := range []any{
			&chores.Chore{}, &events.Event{}, &leases.Worker{}, &outbox.Row{}, &pipelines.Execution{}, &pipelines.Registered{}, &tasks.Log{}, &tasks.Task{},
		} {
			dbtest.CheckModel(t, d, model)
		}
	})
}
