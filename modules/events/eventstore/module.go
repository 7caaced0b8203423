package eventstore

import "go.uber.org/fx"

// Module provides the Repository.
var Module = fx.Module("events", fx.Provide(NewRepository))
