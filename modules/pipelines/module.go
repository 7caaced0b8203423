package pipelines

import "go.uber.org/fx"

// Module provides the engine and the repository of executions.
var Module = fx.Module("pipelines", fx.Provide(NewRepository, NewEngine))

const definitionsGroup = `group:"definitions"`

// ProvideDefinition makes a pipeline that is written in Go known to the program. The constructor takes what fx can give
// it and returns a *definition.Definition, and perhaps an error. The program checks it; two definitions of one name
// stop it at start-up.
func ProvideDefinition(constructor any) fx.Option {
	return fx.Provide(fx.Annotate(constructor, fx.ResultTags(definitionsGroup)))
}

// ExtensionsModule provides the definitions that the program was built with.
var ExtensionsModule = fx.Module("extensions", fx.Provide(fx.Annotate(NewBuiltinDefinitions, fx.ParamTags("", definitionsGroup))))
