package pipelines

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.uber.org/fx"

	"sluice/modules/pipelines/definition"
	"sluice/modules/tasks"
)

const definitionsGroup = `group:"definitions"`

// ProvideDefinition makes a pipeline that is written in Go known to the program. The constructor takes what fx can give it and
// returns a *definition.Definition, and perhaps an error. The program checks it; two definitions of one name stop it at start-up.
func ProvideDefinition(constructor any) fx.Option {
	return fx.Provide(fx.Annotate(constructor, fx.ResultTags(definitionsGroup)))
}

// ExtensionsModule provides the definitions that the program was built with.
var ExtensionsModule = fx.Module("extensions", fx.Provide(fx.Annotate(NewExtensions, fx.ParamTags("", definitionsGroup))))

// Extensions holds the definitions that the program was built with, by name. It never changes, so it is safe for concurrent use.
type Extensions struct {
	byName map[string]*definition.Definition
}

// NewExtensions checks definitions against the handlers of this process. One error names every mistake: a definition that is nil,
// one that Check refuses, and a name that two of them bear.
func NewExtensions(handlers *tasks.Registry, list []*definition.Definition) (*Extensions, error) {
	x := &Extensions{byName: make(map[string]*definition.Definition, len(list))}
	var mistakes []error
	for _, def := range list {
		if def == nil {
			mistakes = append(mistakes, errors.New("a definition is nil"))
			continue
		}
		if err := def.Check(handlers); err != nil {
			mistakes = append(mistakes, fmt.Errorf("definition %q: %w", def.Name, err))
		}
		if x.byName[def.Name] != nil {
			mistakes = append(mistakes, fmt.Errorf("two definitions are named %q", def.Name))
		}
		x.byName[def.Name] = def
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, fmt.Errorf("pipelines of extensions: %w", err)
	}
	return x, nil
}

// Definition finds a definition by its name.
func (x *Extensions) Definition(name string) (*definition.Definition, bool) {
	def, ok := x.byName[name]
	return def, ok
}

// Names lists the definitions, sorted.
func (x *Extensions) Names() []string { return slices.Sorted(maps.Keys(x.byName)) }
