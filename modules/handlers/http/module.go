package http

import (
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// Module provides the handler and closes its idle connections when the program stops.
var Module = fx.Module("handlers/http", tasks.ProvideHandler(func(lc fx.Lifecycle) *Handler {
	h := New()
	lc.Append(fx.StopHook(h.Close))
	return h
}))
