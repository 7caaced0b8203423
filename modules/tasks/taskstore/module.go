package taskstore

import "go.uber.org/fx"

// Module provides the repository of tasks.
var Module = fx.Module("taskstore", fx.Provide(NewRepository))
