package outbox

import "go.uber.org/fx"

// Module provides the outbox's repository.
var Module = fx.Module("outbox", fx.Provide(NewRepository))
