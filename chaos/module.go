package chaos

import (
	"io"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/chaos/step"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
)

// compose returns the engine that starts pipelines, composed as in the program.
func compose(d *db.DB) (*engine.Engine, *tasks.Registry, error) {
	var e *engine.Engine
	var registry *tasks.Registry
	program := fx.New(
		fx.NopLogger,
		fx.Supply(d, zap.NewNop(), step.NewLedger(io.Discard)),
		eventstore.Module, outbox.Module, leases.Module, tasks.Module, taskstore.Module, engine.Module,
		tasks.ProvideHandler(step.NewHandler),
		fx.Populate(&e, &registry),
	)
	return e, registry, program.Err()
}
