package retention

import "go.uber.org/fx"

// Module provides the keeper.
var Module = fx.Module("retention", fx.Provide(New))
