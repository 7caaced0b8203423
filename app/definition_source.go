package app

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// Sources is where definitions come from. It is exported for fx, which fills in only exported embedded structs.
type Sources struct {
	fx.In
	Engine     *engine.Engine
	Executions *engine.Repository
	Handlers   *tasks.Registry
	Extensions *pipelines.BuiltinDefinitions
}

// definition returns the definition that an argument names: a file, a definition of the program, or the newest
// registered one.
func (s Sources) definition(ctx context.Context, stdin io.Reader, arg string) (*definition.Definition, error) {
	if isFile(arg) {
		return parseFile(ctx, arg, stdin, s.Handlers)
	}
	def, err := s.current(ctx, arg)
	if errors.Is(err, pipelines.ErrPipelineNotFound) && isDirectory(arg) {
		return nil, withHint(usagef("%s is a directory", arg), "name a file in it; `sluice serve --pipelines "+arg+
			"` registers all of them")
	}
	if errors.Is(err, pipelines.ErrPipelineNotFound) {
		return nil, withHint(err, s.similar(ctx, arg))
	}
	return def, err
}

// current returns the definition of a pipeline's name: one of the program, or else the newest registered one.
func (s Sources) current(ctx context.Context, name string) (*definition.Definition, error) {
	if def, ok := s.Extensions.Definition(name); ok {
		return def, nil
	}
	return s.Engine.Registered(ctx, name)
}

// similar returns a hint for an unknown name. It ignores errors.
func (s Sources) similar(ctx context.Context, name string) string {
	names, err := s.Executions.Names(ctx)
	if err != nil {
		return ""
	}
	return didYouMean(name, append(names, s.Extensions.Names()...), "")
}

// isFile reports whether an argument is a file and not a pipeline's name.
func isFile(arg string) bool {
	if arg == "-" || strings.ContainsRune(arg, filepath.Separator) || isYAML(arg) {
		return true
	}
	info, err := os.Stat(arg)
	return err == nil && info.Mode().IsRegular()
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isYAML(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

func parseFile(
	ctx context.Context, path string, stdin io.Reader, handlers *tasks.Registry,
) (*definition.Definition, error) {
	src, err := readText(ctx, path, stdin, definition.MaxFile)
	if err != nil {
		return nil, err
	}
	if path == "-" {
		path = "stdin"
	}
	return definition.Parse(path, src, handlers)
}

// runnable returns an error for a definition with a handler that this process does not have.
func (s Sources) runnable(def *definition.Definition) error {
	for i := range def.Tasks {
		name := def.Tasks[i].Handler()
		if _, ok := s.Handlers.Handler(name); !ok {
			return withHint(usagef("this program has no handler %q, which the task %q uses", name, def.Tasks[i].ID),
				"`sluice start "+def.Name+"` leaves the run to workers that have it")
		}
	}
	return nil
}
