package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/db"
)

type tenantsNeeds struct {
	fx.In
	DB         *db.DB
	Executions *engine.Repository
	Leases     *leases.Repository
}

// tenantRow is a tenant in the output of tenants list.
type tenantRow struct {
	Tenant        string `json:"tenant"`
	SchemaVersion int64  `json:"schema_version"` // 0: not migrated yet
	// State is current, behind, ahead, unused (a default tenant that has not been migrated) or unreadable.
	State     string `json:"state"`
	OpenRuns  *int64 `json:"open_runs"` // null: the schema is not this binary's
	SizeBytes int64  `json:"size_bytes"`
}

func (c *cli) tenantsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tenants",
		Example: "  sluice tenants create acme\n  sluice --tenant acme list",
		Short:   "Make, list and drop tenants",
		Long: `A tenant has tables of its own: a schema of the PostgreSQL database, or a file beside SQLite's
(sluice.acme.db beside sluice.db). Every other command works in the tenant that --tenant names.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.tenantsCreateCommand(), c.tenantsListCommand(), c.tenantsDropCommand())
	return cmd
}

func (c *cli) tenantsCreateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "create NAME…",
		Example: "  sluice tenants create acme globex",
		Short:   "Make tenants and their tables; those that are there are brought up to this version",
		Args:    arguments(1, -1, "the name of a tenant"),
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		for _, name := range names {
			if err := checkOther(name); err != nil {
				return err
			}
		}
		return c.withTenants(cmd.Context(), func(ctx context.Context, n tenantsNeeds) error {
			rows := []tenantRow{}
			for _, name := range names {
				ctx := db.WithTenant(ctx, name)
				if err := n.DB.CreateTenant(ctx); err != nil {
					return fmt.Errorf("tenant %q: %w", name, err)
				}
				row, err := n.row(ctx)
				if err != nil {
					return err
				}
				rows = append(rows, row)
			}
			return c.printTenants(rows, *format)
		})
	}
	return cmd
}

func (c *cli) tenantsListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Example: "  sluice tenants list",
		Short: "List the tenants, their schemas' versions and their open runs", Args: arguments(0, 0, ""),
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.withTenants(cmd.Context(), func(ctx context.Context, n tenantsNeeds) error {
			list, err := n.DB.Tenants(ctx)
			if err != nil {
				return err
			}
			rows := []tenantRow{}
			for _, t := range list {
				row, err := n.row(db.WithTenant(ctx, t.Name))
				if errors.Is(err, db.ErrTenantNotFound) {
					continue // dropped meanwhile
				}
				if err != nil && ctx.Err() != nil {
					return err
				}
				if err != nil {
					fmt.Fprintf(c.stderr, "tenant %s can't be read: %s\n", t.Name, oneLine(err.Error()))
					row = tenantRow{Tenant: t.Name, State: "unreadable"}
				}
				if t.Unmigrated && t.Name == db.DefaultTenant {
					row.State = "unused"
				}
				rows = append(rows, row)
			}
			return c.printTenants(rows, *format)
		})
	}
	return cmd
}

func (c *cli) tenantsDropCommand() *cobra.Command {
	force, yes := false, false
	cmd := &cobra.Command{
		Use:     "drop NAME",
		Example: "  sluice tenants drop acme",
		Short:   "Remove a tenant with its whole history",
		Long: `Removes a tenant with all its executions and their whole history; nothing brings them back. It refuses
while runs are open or workers are live, unless --force is given. On a terminal it asks first; elsewhere it needs --yes.
A process that serves the tenant notices and goes on with the others.`,
		Args: arguments(1, 1, "the name of a tenant"),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&force, "force", false, "drop it although runs are open or workers are live")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := args[0]
		if err := checkOther(name); err != nil {
			return err
		}
		return c.withTenants(cmd.Context(), func(ctx context.Context, n tenantsNeeds) error {
			question := fmt.Sprintf("drop the tenant %s with its whole history; nothing brings it back", name)
			if err := c.confirm(yes, "drop a tenant", question, "--yes does it without asking"); err != nil {
				return err
			}
			allow := n.idle
			if force {
				allow = nil
			}
			if err := n.DB.DropTenant(db.WithTenant(ctx, name), allow); err != nil {
				return fmt.Errorf("tenant %q: %w", name, err)
			}
			if *format == formatJSON {
				return printJSON(c.stdout, map[string]any{"tenant": name, "dropped": true})
			}
			fmt.Fprintf(c.stdout, "dropped %s\n", name)
			return nil
		})
	}
	return cmd
}

// withTenants opens the database without checking the schema of any tenant.
func (c *cli) withTenants(ctx context.Context, use func(context.Context, tenantsNeeds) error) error {
	c.skipSchemaCheck = true
	return with(ctx, c, use)
}

// checkOther returns an error unless the name is that of a tenant that can be created and dropped.
func checkOther(name string) error {
	if name == db.DefaultTenant {
		return withHint(usagef("the default tenant can't be made or dropped: it is there with the database"),
			"`sluice migrate` brings its schema up")
	}
	return db.CheckTenantName(name)
}

// idle returns an error if the tenant is in use.
func (n tenantsNeeds) idle(tx db.Tx) error {
	runs, err := n.Executions.CountOpenIn(tx)
	if err != nil {
		return err
	}
	live, err := n.Leases.CountLive(tx)
	if err != nil || runs == 0 && live == 0 {
		return err
	}
	return withHint(usagef("it has %s and %s", counted(runs, "open run"), counted(live, "live worker")),
		"let the runs end or cancel them, and stop its workers; or drop it with --force")
}

func (n tenantsNeeds) row(ctx context.Context) (tenantRow, error) {
	s, err := n.DB.SchemaStatus(ctx)
	if err != nil {
		return tenantRow{}, err
	}
	row := tenantRow{Tenant: s.Tenant, SchemaVersion: s.Current, State: "current"}
	switch {
	case s.Current < s.Newest:
		row.State = "behind"
	case s.Current > s.Newest:
		row.State = "ahead"
	default:
		open, err := n.Executions.CountOpen(ctx)
		if err != nil {
			return row, err
		}
		row.OpenRuns = &open
	}
	row.SizeBytes, err = n.DB.TenantSize(ctx)
	return row, err
}

func (c *cli) printTenants(list []tenantRow, format string) error {
	if format == formatJSON {
		return printList(c.stdout, list, "")
	}
	if len(list) == 0 {
		fmt.Fprintln(c.stderr, c.again("no tenants: `sluice tenants create NAME` makes one"))
		return nil
	}
	rows := make([][]string, len(list))
	for i, t := range list {
		open := ""
		if t.OpenRuns != nil {
			open = strconv.FormatInt(*t.OpenRuns, 10)
		}
		rows[i] = []string{t.Tenant, strconv.FormatInt(t.SchemaVersion, 10), t.State, open, bytesOf(t.SizeBytes)}
	}
	printTable(c.stdout, []string{"tenant", "schema", "", "open runs", "size"}, rows)
	if slices.ContainsFunc(list, func(t tenantRow) bool { return t.State == "behind" }) {
		fmt.Fprintln(c.stderr, c.again("`sluice migrate --all-tenants` brings those up that are behind"))
	}
	return nil
}

// bytesOf writes a size in KiB or MiB.
func bytesOf(n int64) string {
	const unit = 1024
	if n < unit*unit {
		return fmt.Sprintf("%d KiB", (n+unit-1)/unit)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(unit*unit))
}

// eachTenant calls do for every tenant that has been used, and returns the errors in the order of the tenants.
func eachTenant(ctx context.Context, d *db.DB, do func(ctx context.Context, t db.Tenant) error) error {
	list, err := d.Tenants(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range list {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if t.Unmigrated && t.Name == db.DefaultTenant {
			continue // a server's public schema that is not used
		}
		if err := do(db.WithTenant(ctx, t.Name), t); err != nil {
			errs = append(errs, fmt.Errorf("tenant %s: %w", t.Name, err))
		}
	}
	return errors.Join(errs...)
}
