package seal

import "go.uber.org/fx"

// Module provides the Sealer.
var Module = fx.Module("seal", fx.Provide(New))
