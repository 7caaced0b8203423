package engine

import "go.uber.org/fx"

// Module provides the engine and the repository of executions.
var Module = fx.Module("engine", fx.Provide(NewRepository, NewEngine))
