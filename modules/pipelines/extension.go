package pipelines

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// BuiltinDefinitions holds the definitions that the program was built with, by name. It never changes, so it is safe
// for concurrent use.
type BuiltinDefinitions struct {
	byName map[string]*definition.Definition
}

// NewBuiltinDefinitions checks definitions against the handlers of this process. One error names every mistake: a
// definition that is nil, one that Check refuses, and a name that two of them bear.
func NewBuiltinDefinitions(handlers *tasks.Registry, list []*definition.Definition) (*BuiltinDefinitions, error) {
	x := &BuiltinDefinitions{byName: make(map[string]*definition.Definition, len(list))}
	var mistakes []error
	for _, def := range list {
		if def == nil {
			mistakes = append(mistakes, errors.New("a definition is nil"))
			continue
		}
		if err := def.Check(handlers); err != nil {
			// As text: these are mistakes of the program, not of a file that its user could mend.
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

// Definition finds a definition by its name.
func (x *BuiltinDefinitions) Definition(name string) (*definition.Definition, bool) {
	def, ok := x.byName[name]
	return def, ok
}

// Names lists the definitions, sorted.
func (x *BuiltinDefinitions) Names() []string { return slices.Sorted(maps.Keys(x.byName)) }
