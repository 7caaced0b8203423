package tasks

import "go.uber.org/fx"

const handlersGroup = `group:"handlers"`

// Module provides what this package makes; the handlers come from the modules that use ProvideHandler.
var Module = fx.Module("tasks",
	fx.Provide(
		fx.Annotate(NewRegistry, fx.ParamTags(handlersGroup)),
		NewRepository,
	),
)

// ProvideHandler makes a handler known to the registry. The constructor takes what fx can give it and returns a Handler
// (or a type that is one), and perhaps an error. Two handlers of one name stop the program at start-up.
func ProvideHandler(constructor any) fx.Option {
	return fx.Provide(fx.Annotate(constructor, fx.As(new(Handler)), fx.ResultTags(handlersGroup)))
}
