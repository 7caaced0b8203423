package app

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"sluice/platform/db"
)

func (c *cli) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to this version",
		Long:  "Brings the schema of the tenant up to this version. Any number of processes may call it at once.",
		Args:  unknownCommand,
	}
	up := &cobra.Command{Use: "up", Short: "Bring the schema up (what migrate alone does)", Args: arguments(0, 0, "")}
	status := &cobra.Command{Use: "status", Short: "Show the schema's version beside the program's", Args: arguments(0, 0, "")}
	for _, sub := range []*cobra.Command{cmd, up} {
		format := outputFlag(sub)
		sub.RunE = func(cmd *cobra.Command, _ []string) error {
			return c.schema(cmd.Context(), *format, func(ctx context.Context, d *db.DB) error { return d.Migrate(ctx) })
		}
	}
	format := outputFlag(status)
	status.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.schema(cmd.Context(), *format, func(context.Context, *db.DB) error { return nil })
	}
	cmd.AddCommand(up, status)
	return cmd
}

// schema does something about the schema and prints how it stands then.
func (c *cli) schema(ctx context.Context, format string, do func(context.Context, *db.DB) error) (err error) {
	d, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := do(ctx, d); err != nil {
		return err
	}
	s, err := d.SchemaStatus(ctx)
	if err != nil {
		return err
	}
	if format == formatJSON {
		return printJSON(c.stdout, s)
	}
	state := "up to date"
	if err := s.Err(); err != nil {
		state = err.Error()
	}
	printTable(c.stdout, []string{"tenant", "current", "newest", ""},
		[][]string{{s.Tenant, strconv.FormatInt(s.Current, 10), strconv.FormatInt(s.Newest, 10), state}})
	return nil
}
