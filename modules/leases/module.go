package leases

import "go.uber.org/fx"

// Module provides the leases' repository.
var Module = fx.Module("leases", fx.Provide(NewRepository))
