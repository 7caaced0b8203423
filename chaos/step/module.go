// Package step is the extension of the worker processes in the fault tests: one handler, which writes each of its
// calls to a ledger outside the database, and the pipelines that use it.
package step

import (
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// Module is the worker's extension. Its ledger is the file that LedgerEnv names.
var Module = fx.Module("chaos",
	fx.Provide(openLedger),
	tasks.ProvideHandler(NewHandler),
	provideShapes(),
)

// provideShapes makes each shape a pipeline of the program.
func provideShapes() fx.Option {
	var options []fx.Option
	for _, s := range Shapes() {
		options = append(options, pipelines.ProvideDefinition(func() *definition.Definition { return s.Definition }))
	}
	return fx.Options(options...)
}
