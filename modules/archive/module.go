package archive

import "go.uber.org/fx"

// Module provides export and import.
var Module = fx.Module("archive", fx.Provide(New))
