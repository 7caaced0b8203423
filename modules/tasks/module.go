package tasks

import "go.uber.org/fx"

const handlersGroup = `group:"handlers"`

// Module provides the registry of handlers. Other modules add handlers with ProvideHandler.
var Module = fx.Module("tasks", fx.Provide(fx.Annotate(NewRegistry, fx.ParamTags(handlersGroup))))

// ProvideHandler adds a handler to the registry. The parameters of the constructor are injected by fx. It returns a
// Handler, or a type that implements it, and optionally an error. Two handlers with the same name are an error at
// startup.
func ProvideHandler(constructor any) fx.Option {
	return fx.Provide(fx.Annotate(constructor, fx.As(new(Handler)), fx.ResultTags(handlersGroup)))
}
