package leases

import "go.uber.org/fx"

// Module provides the Repository.
var Module = fx.Module("leases", fx.Provide(NewRepository))
