package archive

import "go.uber.org/fx"

// Module provides the Archive.
var Module = fx.Module("archive", fx.Provide(New))
