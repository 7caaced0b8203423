package app

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"sluice/modules/leases"
	"sluice/platform/db"
)

type workersNeeds struct {
	fx.In
	DB     *db.DB
	Leases *leases.Repository
}

func (c *cli) workersCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "workers", Short: "List the worker processes and their leases", Args: arguments(0, 0, "")}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return with(cmd.Context(), c, func(ctx context.Context, n workersNeeds) error {
			list, err := n.Leases.List(ctx)
			if err != nil {
				return err
			}
			if *format == formatJSON {
				return printJSON(c.stdout, list)
			}
			c.printWorkers(list, n.DB.Now())
			return nil
		})
	}
	return cmd
}

func (c *cli) printWorkers(list []leases.Worker, now time.Time) {
	if len(list) == 0 {
		fmt.Fprintln(c.stderr, "no workers: `sluice serve` starts one")
		return
	}
	rows := make([][]string, len(list))
	for i, w := range list {
		lease := "ends in " + span(w.LeaseExpiresAt.Sub(now))
		if !alive(w, now) {
			lease = "expired " + span(now.Sub(w.LeaseExpiresAt.Time)) + " ago"
		}
		rows[i] = []string{w.ID, w.Hostname, strconv.Itoa(w.PID), strconv.Itoa(w.Slots), w.Handlers, moment(w.StartedAt), lease}
	}
	printTable(c.stdout, []string{"id", "host", "pid", "slots", "handlers", "started", "lease"}, rows)
}

// alive reports whether a worker holds its lease.
func alive(w leases.Worker, now time.Time) bool { return w.LeaseExpiresAt.After(now) }
