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
