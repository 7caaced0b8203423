package pipelines

import "go.uber.org/fx"

// Module provides the engine and the repository of executions.
var Module = fx.Module("pipelines", fx.Provide(NewRepository, NewEngine))
