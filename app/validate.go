package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

type validateNeeds struct {
	fx.In
	Handlers *tasks.Registry
}

// validated is the result for one file.
type validated struct {
	File         string    `json:"file"`
	OK           bool      `json:"ok"`
	PipelineName string    `json:"pipeline"` // empty unless ok
	TaskCount    int       `json:"task_count"`
	Problems     []mistake `json:"problems"`
	Warnings     []mistake `json:"warnings"` // what is allowed but probably a mistake

	err      error
	warnings definition.Diagnostics
}

// mistake is one problem of a file. Line and column count from 1; they are 0 if the file could not be read.
type mistake struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

func (c *cli) validateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "validate FILE…",
		Example: "  sluice validate pipelines/*.yaml\n  sluice validate nightly.yaml -o json",
		Short:   "Say what is wrong with pipelines, with file, line and a hint; warnings alone are no failure",
		Args:    arguments(1, -1, "at least one file"),
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd.Context(), c, func(ctx context.Context, n validateNeeds) error {
			list := make([]validated, len(args))
			bad := false
			for i, path := range args {
				if list[i] = c.validate(ctx, path, n.Handlers); ctx.Err() != nil {
					return ctx.Err() // interrupted: the file may be right
				}
				bad = bad || !list[i].OK
			}
			if err := c.printValidated(list, *format); err != nil {
				return err
			}
			if bad {
				return exitStatus(exitUsage)
			}
			return nil
		})
	}
	return cmd
}

func (c *cli) validate(ctx context.Context, path string, handlers *tasks.Registry) validated {
	v := validated{File: path, Problems: []mistake{}, Warnings: []mistake{}}
	def, err := parseFile(ctx, path, c.stdin, handlers)
	var problems definition.Diagnostics
	switch {
	case errors.As(err, &problems):
		v.Problems = mistakesOf(problems)
	case err != nil:
		v.Problems = append(v.Problems, mistake{File: path, Message: err.Error()})
	default:
		v.OK, v.PipelineName, v.TaskCount = true, def.Name, len(def.Tasks)
		v.warnings, v.Warnings = def.Warnings(), mistakesOf(def.Warnings())
	}
	v.err = err
	return v
}

func (c *cli) printValidated(list []validated, format string) error {
	if format == formatJSON {
		return printList(c.stdout, list, "")
	}
	for _, v := range list {
		var problems definition.Diagnostics
		switch {
		case errors.As(v.err, &problems):
			c.reportProblems(problems)
		case v.err != nil:
			fmt.Fprintf(c.stderr, "sluice: %v\n", v.err)
		default:
			c.warn(v.warnings)
			fmt.Fprintf(c.stdout, "%s: ok (%s)\n", v.File, counted(int64(v.TaskCount), "task"))
		}
	}
	return nil
}
