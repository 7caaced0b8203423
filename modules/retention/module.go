package retention

import "go.uber.org/fx"

// Module provides the Keeper.
var Module = fx.Module("retention", fx.Provide(New))
