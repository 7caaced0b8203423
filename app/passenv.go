package app

import (
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/handlers/shell"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// passEnv is a flag with names of environment variables, or prefixes of names, separated by commas. It may be
// repeated.
type passEnv struct{ patterns []string }

func (p *passEnv) String() string     { return strings.Join(p.patterns, ",") }
func (p *passEnv) Type() string       { return "NAME" }
func (p *passEnv) GetSlice() []string { return p.patterns }

func (p *passEnv) Set(s string) error { return p.Append(s) }

func (p *passEnv) Append(s string) error {
	for _, pattern := range strings.Split(s, ",") {
		pattern = strings.TrimSpace(pattern)
		if err := shell.CheckPass(pattern); err != nil {
			return err
		}
		p.patterns = append(p.patterns, pattern)
	}
	return nil
}

func (p *passEnv) Replace(list []string) error {
	p.patterns = nil
	for _, s := range list {
		if err := p.Append(s); err != nil {
			return err
		}
	}
	return nil
}

func (p *passEnv) add(cmd *cobra.Command, what string) {
	cmd.Flags().Var(p, "pass-env", what)
}

// setCommands configures the commands of tasks: their environment, when they are killed, and which orphans end with
// them. It must be called before the first task runs.
func (c *cli) setCommands(handlers *tasks.Registry, e shell.Environment, log *zap.Logger) {
	named, _ := handlers.Handler(definition.ShellHandler)
	h, ok := named.(*shell.Handler)
	if !ok {
		return
	}
	h.Environment, h.Kill = e, c.kill
	if c.orphans == nil {
		return
	}
	h.Orphans = c.orphans.Children
	if err := c.orphans.Adopt(); err != nil {
		log.Warn("processes that leave their command's session outlive it", zap.Error(err))
	}
}
