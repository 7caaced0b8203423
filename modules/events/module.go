package events

import "go.uber.org/fx"

// Module provides the history's repository.
var Module = fx.Module("events", fx.Provide(NewRepository))
