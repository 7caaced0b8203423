// Package step is the extension that the worker processes of the fault tests are built with: one handler, which writes each of
// its calls into a ledger that no database knows of, and the pipelines that use it.
package step

import (
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// Module is what the worker is built with. Its ledger is the file that LedgerEnv names.
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
