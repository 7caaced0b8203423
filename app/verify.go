package app

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"sluice/modules/audit"
)

type verifyNeeds struct {
	fx.In
	Auditor *audit.Auditor
}

func (c *cli) verifyCommand() *cobra.Command {
	most := 1000
	cmd := &cobra.Command{
		Use:   "verify [ID…]",
		Short: "Prove that history, state and outbox agree",
		Long: `Reads executions, their tasks, events and outbox rows, folds each history through the transition table, and compares.
Without ids it checks the whole tenant. It changes nothing and blocks nobody. Exit code 1 means that something does not agree.`,
		Args: cobra.ArbitraryArgs,
	}
	cmd.Flags().Var(&count{&most, 0}, "max-breaches", "stop after `N` breaches; 0 finds all")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := parseIDs(args)
		if err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n verifyNeeds) error {
			o := audit.Options{IDs: ids, MaxBreaches: most}
			if isTerminal(c.stderr) {
				o.Progress = func(r audit.Report) { fmt.Fprintf(c.stderr, "\r\x1b[Kchecking: %s", counted(int64(r.Events), "event")) }
			}
			report, err := n.Auditor.Verify(ctx, o)
			if o.Progress != nil {
				fmt.Fprint(c.stderr, "\r\x1b[K")
			}
			if err != nil {
				return err
			}
			return c.printReport(report, *format)
		})
	}
	return cmd
}

func (c *cli) printReport(report audit.Report, format string) error {
	if format == formatJSON {
		if err := printJSON(c.stdout, report); err != nil {
			return err
		}
	} else {
		fmt.Fprint(c.stdout, report)
	}
	if !report.OK() {
		return exitStatus(exitFailed)
	}
	return nil
}
