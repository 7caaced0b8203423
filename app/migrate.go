package app

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/platform/db"
)

func (c *cli) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "migrate",
		Example: "  sluice migrate\n  sluice migrate --all-tenants",
		Short:   "Bring the database's schema up to this version",
		Long: `Brings the schema of the tenant that --tenant names up to this version, or with --all-tenants those of
all tenants.
Any number of processes may call it at once.`,
		Args: unknownCommand,
	}
	up := &cobra.Command{
		Use: "up", Example: "  sluice migrate up",
		Short: "Bring the schema up (what migrate alone does)", Args: arguments(0, 0, ""),
	}
	status := &cobra.Command{
		Use: "status", Example: "  sluice migrate status",
		Short: "Show the schema's version beside the program's", Args: arguments(0, 0, ""),
	}
	for _, sub := range []*cobra.Command{cmd, up, status} {
		do := func(ctx context.Context, d *db.DB) error { return d.Migrate(ctx) }
		if sub == status {
			do = func(context.Context, *db.DB) error { return nil }
		}
		format, all := outputFlag(sub), allTenantsFlag(sub)
		sub.RunE = func(cmd *cobra.Command, _ []string) error { return c.schema(cmd.Context(), *format, *all, do) }
	}
	cmd.AddCommand(up, status)
	return cmd
}

// allTenantsFlag adds --all-tenants to a command. Its value is valid when the command runs.
func allTenantsFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("all-tenants", false, "do it for every tenant, the default one included")
}

// schema calls do and prints the version of the schema. If all is set, it does so for every tenant, and continues
// with the others if one fails.
func (c *cli) schema(ctx context.Context, format string, all bool, do func(context.Context, *db.DB) error) (err error) {
	d, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	list := []db.SchemaStatus{}
	one := func(ctx context.Context) error {
		if err := do(ctx, d); err != nil {
			return err
		}
		s, err := d.SchemaStatus(ctx)
		if err == nil {
			list = append(list, s)
		}
		return err
	}
	if !all {
		if err := one(ctx); err != nil {
			return err
		}
		return c.printSchemas(list, list[0], format)
	}
	failed := eachTenant(ctx, d, func(ctx context.Context, _ db.Tenant) error { return one(ctx) })
	if len(list) == 0 && failed != nil {
		return failed
	}
	return errors.Join(failed, c.printSchemas(list, listDocument[db.SchemaStatus]{Items: list}, format))
}

func (c *cli) printSchemas(list []db.SchemaStatus, document any, format string) error {
	if format == formatJSON {
		return printJSON(c.stdout, document)
	}
	rows := make([][]string, len(list))
	for i, s := range list {
		state := "up to date"
		if err := s.Err(); err != nil {
			state = err.Error()
		}
		rows[i] = []string{s.Tenant, strconv.FormatInt(s.Current, 10), strconv.FormatInt(s.Newest, 10), state}
	}
	printTable(c.stdout, []string{"tenant", "current", "newest", ""}, rows)
	return nil
}
