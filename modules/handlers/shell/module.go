package shell

import (
	"go.uber.org/fx"

	"sluice/modules/tasks"
)

// Module provides the handler.
var Module = fx.Module("handlers/shell", tasks.ProvideHandler(New))
