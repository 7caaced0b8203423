package shell

import (
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// Module provides the handler and closes it when the program stops.
var Module = fx.Module("handlers/shell", tasks.ProvideHandler(func(lc fx.Lifecycle) *Handler {
	h := New()
	lc.Append(fx.StopHook(h.Close))
	return h
}))
