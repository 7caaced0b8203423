package workers

import (
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
)

type params struct {
	fx.In
	DB       *db.DB
	Engine   *engine.Engine
	Tasks    *taskstore.Repository
	Outbox   *outbox.Repository
	Leases   *leases.Repository
	Handlers *tasks.Registry
	Log      *zap.Logger
}

// Module provides the dependencies of pools. It starts nothing: a pool works only after Run, which only `serve` and
// `run` call.
var Module = fx.Module("workers", fx.Provide(func(p params) Deps {
	return Deps{
		DB: p.DB, Engine: p.Engine, Tasks: p.Tasks, Outbox: p.Outbox, Leases: p.Leases, Handlers: p.Handlers,
		Log: p.Log,
	}
}))
