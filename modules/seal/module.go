package seal

import "go.uber.org/fx"

// Module provides the sealer.
var Module = fx.Module("seal", fx.Provide(New))
