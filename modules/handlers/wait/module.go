package wait

import (
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// Module provides both handlers, and closes the connections of wait when the program stops.
var Module = fx.Module("handlers/wait",
	tasks.ProvideHandler(NewSleep),
	tasks.ProvideHandler(func(lc fx.Lifecycle) *Wait {
		w := NewWait()
		lc.Append(fx.StopHook(w.Close))
		return w
	}),
)
