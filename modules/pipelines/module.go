package pipelines

import (
	"go.uber.org/fx"
)

const definitionsGroup = `group:"definitions"`

// ProvideDefinition adds a pipeline that is defined in Go to the program. The parameters of the constructor are
// injected by fx. It returns a *definition.Definition and optionally an error. The program checks the definition at
// startup; two definitions with the same name are an error.
func ProvideDefinition(constructor any) fx.Option {
	return fx.Provide(fx.Annotate(constructor, fx.ResultTags(definitionsGroup)))
}

// ExtensionsModule provides the definitions that are compiled into the program.
var ExtensionsModule = fx.Module("extensions",
	fx.Provide(fx.Annotate(NewBuiltinDefinitions, fx.ParamTags("", definitionsGroup))))
