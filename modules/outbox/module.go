package outbox

import "go.uber.org/fx"

// Module provides the Repository.
var Module = fx.Module("outbox", fx.Provide(NewRepository))
