package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/inspect"
	"github.com/sluiceworks/sluice/platform/db"
)

func (c *cli) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "doctor",
		Example: "  sluice doctor\n  sluice doctor -o json",
		Short:   "Examine the database, its workers, and what holds them up",
		Long: `Examines the tenant's database: schema, clock, workers, what the outbox waits for, which transactions
hold the tail of events or the vacuum back, and space. It changes nothing. Exit code 1 if anything is bad.`,
		Args: arguments(0, 0, ""),
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := c.examine(cmd.Context())
		if err != nil {
			return err
		}
		if *format == formatJSON {
			err = printList(c.stdout, list, "")
		} else {
			c.printFindings(list)
		}
		for _, f := range list {
			if f.State == inspect.FindingBad && err == nil {
				return exitStatus(exitFailed)
			}
		}
		return err
	}
	return cmd
}

// examine runs the checks. Without a reachable database of the right schema it stops after the first ones.
func (c *cli) examine(ctx context.Context) (list []inspect.Finding, err error) {
	d, err := c.open(ctx)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if d.Backend() == "sqlite" {
		if err := d.Migrate(ctx); err != nil && !errors.Is(err, db.ErrReadOnly) {
			return c.unreachable(ctx, err)
		}
	}
	status, err := d.SchemaStatus(ctx)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	return inspect.NewDoctor(d).Examine(ctx, status)
}

// unreachable returns an error of the database as a finding, and any other error as an error.
func (c *cli) unreachable(ctx context.Context, err error) ([]inspect.Finding, error) {
	if ctx.Err() != nil || exitCode(err) != exitDatabase {
		return nil, err
	}
	return []inspect.Finding{inspect.NewFinding("database", "%s", oneLine(err.Error())).Bad(hintFor(err))}, nil
}

func (c *cli) printFindings(list []inspect.Finding) {
	rows := make([][]string, len(list))
	for i, f := range list {
		rows[i] = []string{f.Check, f.State, f.Found, string(f.Advice)}
	}
	printTable(c.stdout, []string{"check", "state", "found", "what to do"}, rows)
	for _, f := range list {
		for _, s := range f.Sessions {
			fmt.Fprintf(c.stdout, "  %s: %s\n", f.Check, describeSession(s))
		}
	}
}
