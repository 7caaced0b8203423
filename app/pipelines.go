package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

const formatYAML = "yaml"

func (c *cli) pipelinesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pipelines",
		Short: "List the registered pipelines, and show their inputs, tasks and versions",
		Long: `A definition is stored by its version, a hash of its content, when it is registered (` +
			"`sluice serve --pipelines DIR`" + `) or run from a file.
The newest registered version is the current one: ` + "`sluice start NAME`" + ` takes it.`,
		Example: "  sluice pipelines list\n  sluice pipelines show orders",
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.pipelinesListCommand(), c.pipelinesShowCommand(), c.pipelinesDiffCommand())
	return cmd
}

// pipelineRow is a registered pipeline in a list.
type pipelineRow struct {
	Pipeline     string      `json:"pipeline"`
	Version      string      `json:"version"` // the current one
	RegisteredAt dbtype.Time `json:"registered_at"`
	Versions     int         `json:"versions"` // number of stored versions
	Description  dbtype.Text `json:"description"`
	TaskCount    int         `json:"task_count"`
	Inputs       []inputView `json:"inputs"`
	Problem      dbtype.Text `json:"problem"` // why this program cannot read the definition; null: it can
}

// inputView is a field of a pipeline's input.
type inputView struct {
	Name        string        `json:"name"`
	Type        string        `json:"type"`
	Required    bool          `json:"required"`
	Default     dbtype.JSON   `json:"default"`
	Choices     []dbtype.JSON `json:"choices"`
	Min         dbtype.JSON   `json:"min"`
	Max         dbtype.JSON   `json:"max"`
	Pattern     dbtype.Text   `json:"pattern"`
	Description dbtype.Text   `json:"description"`
}

func inputsOf(def *definition.Definition) []inputView {
	out := []inputView{}
	for _, f := range def.Input {
		v := inputView{
			Name: f.Name, Type: f.Type, Required: f.Required, Default: dbtype.JSON(f.Default), Choices: []dbtype.JSON{},
			Min: dbtype.JSON(f.Min), Max: dbtype.JSON(f.Max),
			Pattern: dbtype.Text(f.Pattern), Description: dbtype.Text(f.Description),
		}
		if v.Type == "" {
			v.Type = "any"
		}
		for _, c := range f.Choices {
			v.Choices = append(v.Choices, dbtype.JSON(c))
		}
		out = append(out, v)
	}
	return out
}

func (c *cli) pipelinesListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the registered pipelines, by name", Args: arguments(0, 0, ""),
		Example: "  sluice pipelines list\n  sluice pipelines list -o json",
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return with(cmd.Context(), c, func(ctx context.Context, s Sources) error {
			list, err := s.registered(ctx)
			if err != nil {
				return err
			}
			if *format == formatJSON {
				return printList(c.stdout, list, "")
			}
			if len(list) == 0 {
				fmt.Fprintln(c.stderr,
					c.again("no pipelines: `sluice serve --pipelines DIR` registers those in a folder"))
				return nil
			}
			rows := make([][]string, len(list))
			for i, p := range list {
				names := make([]string, len(p.Inputs))
				for j, in := range p.Inputs {
					if names[j] = in.Name; in.Required {
						names[j] += "*"
					}
				}
				note := string(p.Description)
				if p.Problem != "" {
					note = string(p.Problem)
				}
				rows[i] = []string{
					p.Pipeline, p.Version, strconv.Itoa(p.Versions), moment(p.RegisteredAt), strconv.Itoa(p.TaskCount),
					strings.Join(names, " "), firstLine(note, 60),
				}
			}
			printFitted(c.stdout, []string{
				"pipeline", "version", "versions", "registered", "tasks",
				"inputs (* required)", "",
			}, rows, "", "inputs (* required)")
			return nil
		})
	}
	return cmd
}

// registered returns the current version of each pipeline. A definition that this program cannot read becomes a
// Problem and does not affect the others.
func (s Sources) registered(ctx context.Context) ([]pipelineRow, error) {
	names, err := s.Executions.Names(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]pipelineRow, len(names))
	for i, name := range names {
		versions, err := s.Executions.Versions(ctx, name)
		if err != nil {
			return nil, err
		}
		row := pipelineRow{
			Pipeline: name, Version: versions[0].Version, RegisteredAt: versions[0].RegisteredAt,
			Versions: len(versions), Inputs: []inputView{},
		}
		def, err := s.Engine.StoredDefinition(ctx, name, row.Version)
		switch {
		case errors.Is(err, pipelines.ErrDefinitionMissing):
			row.Problem = dbtype.Text(err.Error())
		case err != nil:
			return nil, err
		default:
			row.Description, row.TaskCount, row.Inputs = dbtype.Text(def.Description), len(def.Tasks), inputsOf(def)
		}
		list[i] = row
	}
	return list, nil
}

// storedPipeline is a version of a pipeline, with a list of all versions.
type storedPipeline struct {
	Pipeline   string                 `json:"pipeline"`
	Version    string                 `json:"version"`
	Current    bool                   `json:"current"`
	Inputs     []inputView            `json:"inputs"`
	Definition dbtype.JSON            `json:"definition"`
	Versions   []engine.StoredVersion `json:"versions"` // the current one first

	def *definition.Definition
}

// stored returns the version of a pipeline whose hash begins with version, or the current one if version is empty.
func (s Sources) stored(ctx context.Context, name, version string) (storedPipeline, error) {
	p := storedPipeline{Pipeline: name}
	var err error
	if p.Versions, err = s.Executions.Versions(ctx, name); err != nil {
		return p, err
	}
	if len(p.Versions) == 0 {
		return p, withHint(fmt.Errorf("%w: %q is not stored", pipelines.ErrPipelineNotFound, name),
			s.similar(ctx, name))
	}
	fits := func(v engine.StoredVersion) bool {
		return version == "" && v.Current || version != "" && strings.HasPrefix(v.Version, strings.ToLower(version))
	}
	i := slices.IndexFunc(p.Versions, fits)
	words := make([]string, len(p.Versions))
	for j, v := range p.Versions {
		words[j] = v.Version
	}
	switch {
	case i < 0 && version == "":
		return p, withHint(fmt.Errorf("%w: %q is not registered, it was only run from a file",
			pipelines.ErrPipelineNotFound, name), "--version takes one of "+strings.Join(words, ", "))
	case i < 0:
		return p, withHint(fmt.Errorf("%w: %q has no version %s", pipelines.ErrPipelineNotFound, name, version),
			"there are "+strings.Join(words, ", "))
	case slices.IndexFunc(p.Versions[i+1:], fits) >= 0 && version != "":
		return p, withHint(usagef("several versions of %q begin with %s", name, version), "there are "+
			strings.Join(words, ", "))
	}
	p.Version, p.Current = p.Versions[i].Version, p.Versions[i].Current
	if p.def, err = s.Engine.StoredDefinition(ctx, name, p.Version); err != nil {
		return p, err
	}
	doc, _, err := p.def.Encode()
	p.Definition, p.Inputs = dbtype.JSON(doc), inputsOf(p.def)
	return p, err
}

func (c *cli) pipelinesShowCommand() *cobra.Command {
	var version string
	format := formatTable
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a pipeline: its inputs, tasks and versions",
		Long: "Shows the current version of a pipeline, or another one. -o yaml prints the definition as a file " +
			"that `sluice run` takes and that has the same version.",
		Example: `  sluice pipelines show orders
  sluice pipelines show orders --version 3fa9 -o yaml > orders.yaml
  sluice pipelines show orders -o json | jq .inputs`,
		Args: arguments(1, 1, "the name of a pipeline"),
	}
	cmd.Flags().StringVar(&version, "version", "",
		"the version whose hash begins with `HASH` (default: the current one)")
	cmd.Flags().VarP(&choice{value: &format, allowed: []string{formatTable, formatJSON, formatYAML}, kind: "FORMAT"},
		"output", "o", "`FORMAT` of the answer: table, json or yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd.Context(), c, func(ctx context.Context, s Sources) error {
			p, err := s.stored(ctx, args[0], version)
			switch {
			case err != nil:
				return err
			case format == formatJSON:
				return printJSON(c.stdout, p)
			case format == formatYAML:
				text, err := p.def.YAML()
				fmt.Fprint(c.stdout.Data(), string(text))
				return err
			}
			c.printPipeline(p)
			return nil
		})
	}
	return cmd
}

func (c *cli) printPipeline(p storedPipeline) {
	fmt.Fprintln(c.stdout, terminal.Inline(p.Pipeline))
	if p.def.Description != "" {
		fmt.Fprintln(c.stdout, indent(p.def.Description, "  "))
	}
	note := ""
	if p.Current {
		note = " (current)"
	}
	fmt.Fprintf(c.stdout, "%-10s %s%s\n", "version", p.Version, note)
	for _, name := range slices.Sorted(maps.Keys(p.def.Labels)) {
		fmt.Fprintf(c.stdout, "%-10s %s=%s\n", "label", name, terminal.Inline(p.def.Labels[name]))
	}
	if len(p.Inputs) > 0 {
		rows := make([][]string, len(p.Inputs))
		for i, in := range p.Inputs {
			rows[i] = []string{
				in.Name, in.Type, yes(in.Required), string(in.Default), in.allowed(),
				string(in.Description),
			}
		}
		fmt.Fprintln(c.stdout)
		printFitted(c.stdout, []string{"input", "type", "required", "default", "allowed", ""}, rows, "", "allowed",
			"default")
	}
	rows := make([][]string, len(p.def.Tasks))
	for i := range p.def.Tasks {
		t := &p.def.Tasks[i]
		what := t.Description
		if what == "" {
			what = t.Run
		}
		rows[i] = []string{t.ID, strings.Join(t.Needs, " "), t.Handler(), t.Queue, firstLine(what, 60)}
	}
	fmt.Fprintln(c.stdout)
	printFitted(c.stdout, []string{"task", "needs", "uses", "queue", ""}, rows, "", "needs")
	if len(p.Versions) > 1 {
		rows = rows[:0]
		for _, v := range p.Versions {
			rows = append(rows, []string{v.Version, moment(v.RegisteredAt), yes(v.Current)})
		}
		fmt.Fprintln(c.stdout)
		printTable(c.stdout, []string{"version", "registered", "current"}, rows)
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
