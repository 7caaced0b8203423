package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/seal"
	"github.com/sluiceworks/sluice/platform/db"
)

type verifyNeeds struct {
	fx.In
	DB      *db.DB
	Auditor *audit.Auditor
	Sealer  *seal.Sealer

	Executions *engine.Repository
}

// verifyFlags narrow a verification.
type verifyFlags struct {
	most         int
	since, until string
	resume       string
	root         bool
}

// tenantReport is the report of one of several tenants.
type tenantReport struct {
	Tenant string `json:"tenant"`
	audit.Report
}

func (c *cli) verifyCommand() *cobra.Command {
	f := verifyFlags{most: 1000}
	cmd := &cobra.Command{
		Use:   "verify [ID…]",
		Short: "Prove that history, state and outbox agree",
		Long: `Reads executions, their tasks, events and outbox rows, folds each history through the transition table,
and compares. Without ids it checks the whole tenant. It changes nothing and blocks nobody. Exit code 1 means that
something does not agree.

--since looks only at executions that have not ended, or were created or ended since, by their rows: it is quick, and
tells nothing of what was done to older ones. An interrupted verification leaves a file, and --resume goes on from
there.
--print-root checks nothing: it prints one hash over the seals of what ended in a period, to be kept elsewhere.`,
		Example: "  sluice verify --since 1d\n  sluice verify --resume nightly-verify.json\n  sluice verify " +
			"--print-root --since 2026-11-01T00:00:00Z --until 2026-12-01T00:00:00Z",
		Args: cobra.ArbitraryArgs,
	}
	cmd.Flags().Var(&count{&f.most, 0}, "max-violations", "stop after `N` breaches; 0 finds all")
	cmd.Flags().StringVar(&f.since, "since", "",
		"only executions that are open, or were created or ended at `TIME` or later: an instant, or how long ago")
	cmd.Flags().StringVar(&f.until, "until", "", "with --print-root, only executions that ended before `TIME`")
	cmd.Flags().StringVar(&f.resume, "resume", "",
		"keep the place in `FILE`, and go on from there if it exists; it is removed at the end")
	cmd.Flags().BoolVar(&f.root, "print-root", false, "print one hash over the seals of a period, and check nothing")
	format, all := outputFlag(cmd), allTenantsFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkIDs(args...); err != nil {
			return err
		}
		if err := f.check(args, *all); err != nil {
			return err
		}
		if *all {
			return c.verifyTenants(cmd.Context(), audit.Options{MaxViolations: f.most}, f.since, *format)
		}
		return with(cmd.Context(), c, func(ctx context.Context, n verifyNeeds) error {
			since, err := parseInstant("--since", f.since, n.DB.Now())
			if err != nil {
				return err
			}
			if f.root {
				return c.printRoot(ctx, n, since, f.until, *format)
			}
			ids, err := resolveIDs(ctx, n.Executions, args)
			if err != nil {
				return err
			}
			report, err := c.verify(ctx, n, f, audit.Options{IDs: ids, MaxViolations: f.most, Since: since})
			if err != nil {
				return err
			}
			return c.printReport(report, *format)
		})
	}
	return cmd
}

// verifyTenants verifies each tenant. It continues after a tenant that cannot be verified, and returns that error at
// the end.
func (c *cli) verifyTenants(ctx context.Context, o audit.Options, since, format string) error {
	c.skipSchemaCheck = true
	return with(ctx, c, func(ctx context.Context, n verifyNeeds) error {
		var err error
		if o.Since, err = parseInstant("--since", since, n.DB.Now()); err != nil {
			return err
		}
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
			failed = errors.Join(failed, printList(c.stdout, list, ""))
		}
		if failed == nil && !sound {
			return exitStatus(exitFailed)
		}
		return failed
	})
}

func (f *verifyFlags) check(ids []string, all bool) error {
	switch {
	case all && (len(ids) > 0 || f.resume != "" || f.root):
		return usagef("--all-tenants takes no ids, --resume or --print-root: those are one tenant's")
	case len(ids) > 0 && (f.since != "" || f.resume != "" || f.root):
		return withHint(usagef("ids, and --since, --resume or --print-root, don't go together"), "leave the ids out")
	case f.root && f.resume != "":
		return usagef("--print-root and --resume don't go together")
	case f.until != "" && !f.root:
		return withHint(usagef("--until is for --print-root"), "a verification goes up to now")
	}
	return nil
}

// verify verifies, shows its progress, and saves its position.
func (c *cli) verify(ctx context.Context, n verifyNeeds, f verifyFlags, o audit.Options) (audit.Report, error) {
	bar, place := newBar(c.stderr, n.DB.Now), newCheckpoint(f.resume, n.DB)
	var err error
	if o.From, err = place.load(ctx, &o); err != nil {
		return audit.Report{}, err
	}
	if len(o.IDs) == 0 {
		o.Progress, o.SaveState = bar.verified, place.store
	}
	report, err := n.Auditor.Verify(ctx, o)
	bar.clear()
	switch {
	case err == nil:
		return report, place.remove()
	case ctx.Err() == nil || len(o.IDs) > 0:
		return report, err
	}
	path, saving := place.save()
	if saving != nil {
		return report, errors.Join(err, saving)
	}
	if path != "" {
		fmt.Fprintln(c.stderr,
			c.again(fmt.Sprintf("%s so far; `sluice verify --resume %s` goes on from there", report.Summary(),
				quoted(path))))
	}
	return report, err
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
