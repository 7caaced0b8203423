package chaos

import (
	"io"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/chaos/step"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// compose returns the engine that starts pipelines, composed as in the program.
func compose(d *db.DB) (*pipelines.Engine, *tasks.Registry, error) {
	var engine *pipelines.Engine
	var registry *tasks.Registry
	program := fx.New(
		fx.NopLogger,
		fx.Supply(d, zap.NewNop(), step.NewLedger(io.Discard)),
		events.Module, outbox.Module, leases.Module, tasks.Module, pipelines.Module,
		tasks.ProvideHandler(step.NewHandler),
		fx.Populate(&engine, &registry),
	)
	return engine, registry, program.Err()
}
