package pipelines

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// BuiltinDefinitions holds the definitions that are compiled into the program, by name. It does not change, so it is
// safe for concurrent use.
type BuiltinDefinitions struct {
	byName map[string]*definition.Definition
}

// NewBuiltinDefinitions checks definitions against the handlers of this process. It returns one error that names each
// definition that is nil, that Check rejects, or that has the name of another one.
func NewBuiltinDefinitions(handlers *tasks.Registry, list []*definition.Definition) (*BuiltinDefinitions, error) {
	x := &BuiltinDefinitions{byName: make(map[string]*definition.Definition, len(list))}
	var mistakes []error
	for _, def := range list {
		if def == nil {
			mistakes = append(mistakes, errors.New("a definition is nil"))
			continue
		}
		if err := def.Check(handlers); err != nil {
			// As text, because these are errors of the program, which the author of a pipeline file cannot fix.
			mistakes = append(mistakes, fmt.Errorf("definition %q: %s", def.Name, err.Error()))
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

// Definition returns the definition with the given name, and whether there is one.
func (x *BuiltinDefinitions) Definition(name string) (*definition.Definition, bool) {
	def, ok := x.byName[name]
	return def, ok
}

// Names returns the names of all definitions, sorted.
func (x *BuiltinDefinitions) Names() []string { return slices.Sorted(maps.Keys(x.byName)) }
