package retention

import "go.uber.org/fx"

// Module provides the Cleaner.
var Module = fx.Module("retention", fx.Provide(New))
