package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"sluice/modules/audit"
	"sluice/platform/db"
)

type verifyNeeds struct {
	fx.In
	DB      *db.DB
	Auditor *audit.Auditor
}

// tenantReport is what was found in one tenant of several.
type tenantReport struct {
	Tenant string `json:"tenant"`
	audit.Report
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
	format, all := outputFlag(cmd), allTenantsFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := parseIDs(args)
		if err != nil {
			return err
		}
		if *all {
			if len(ids) > 0 {
				return usagef("--all-tenants takes no ids: an execution is one tenant's")
			}
			return c.verifyTenants(cmd.Context(), audit.Options{MaxBreaches: most}, *format)
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

// verifyTenants checks each tenant. One that can't be checked does not keep it from the others, and is an error in the end.
func (c *cli) verifyTenants(ctx context.Context, o audit.Options, format string) error {
	c.bare = true
	return with(ctx, c, func(ctx context.Context, n verifyNeeds) error {
		list, sound := []tenantReport{}, true
		failed := eachTenant(ctx, n.DB, func(ctx context.Context, t db.Tenant) error {
			if err := ready(ctx, n.DB); err != nil {
				return err
			}
			report, err := n.Auditor.Verify(ctx, o)
			if err != nil {
				return err
			}
			list, sound = append(list, tenantReport{t.Name, report}), sound && report.OK()
			if format != formatJSON {
				fmt.Fprintf(c.stdout, "tenant %s: %s", t.Name, report)
			}
			return nil
		})
		if format == formatJSON {
			failed = errors.Join(failed, printJSON(c.stdout, list))
		}
		if failed == nil && !sound {
			return exitStatus(exitFailed)
		}
		return failed
	})
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
