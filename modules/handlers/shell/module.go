package shell

import (
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// Module provides the handler.
var Module = fx.Module("handlers/shell", tasks.ProvideHandler(New))
