package chores

import "go.uber.org/fx"

// Module provides the Repository.
var Module = fx.Module("chores", fx.Provide(NewRepository))
