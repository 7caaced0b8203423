package bench

import (
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
)

type params struct {
	fx.In
	Workers workers.Deps
	Handler *Handler
	Auditor *audit.Auditor
}

// Module provides the benchmark and its handler. Only the processes of a benchmark use it, so no other worker has the
// handler.
func Module(s Settings) fx.Option {
	return fx.Module("bench",
		fx.Supply(s),
		fx.Provide(NewHandler,
			func(p params) *Bench { return New(Deps{Workers: p.Workers, Handler: p.Handler, Auditor: p.Auditor}) }),
		tasks.ProvideHandler(func(h *Handler) *Handler { return h }),
	)
}
