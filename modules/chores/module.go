package chores

import "go.uber.org/fx"

// Module provides the repository of chores.
var Module = fx.Module("chores", fx.Provide(NewRepository))
