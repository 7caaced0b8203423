package app

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/retention"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

type cleanupNeeds struct {
	fx.In
	DB        *db.DB
	Retention *retention.Cleaner
}

// cleanupDocument is what was removed, or would be removed.
type cleanupDocument struct {
	OlderThan  dbtype.Time `json:"older_than"`
	Events     int64       `json:"events"`
	Executions int64       `json:"executions"`
	DryRun     bool        `json:"dry_run"`
}

func (c *cli) cleanupEventsCommand() *cobra.Command {
	var age time.Duration
	var dry bool
	cmd := &cobra.Command{
		Use:   "cleanup-events --older-than AGE",
		Short: "Remove old events of executions that have ended",
		Long: "Removes the events of all executions that ended long enough ago, now, and whatever their pipelines " +
			"say. `sluice cleanup` goes by the settings.",
		Example: "  sluice cleanup-events --older-than 90d --dry-run",
		Args:    arguments(0, 0, ""),
	}
	cmd.Flags().Var(&durationFlag{&age, 0}, "older-than",
		"remove the events of executions that ended more than `AGE` ago, such as 90d")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only count")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !cmd.Flags().Changed("older-than") {
			return withHint(usagef("%s needs --older-than", cmd.CommandPath()),
				"for instance --older-than 90d; --dry-run only counts")
		}
		return with(cmd.Context(), c, func(ctx context.Context, n cleanupNeeds) error {
			doc, err := n.remove(ctx, age, dry, func(removed int64) {
				if c.stderr.IsTerminal() {
					c.progress(counted(removed, "event") + " removed")
				}
			})
			if err != nil {
				return err
			}
			if *format == formatJSON {
				return printJSON(c.stdout, doc)
			}
			verb := "removed"
			if dry {
				verb = "would remove"
			}
			fmt.Fprintf(c.stdout, "%s %s of %s that ended before %s\n", verb, counted(doc.Events, "event"),
				counted(doc.Executions, "execution"), moment(doc.OlderThan))
			return nil
		})
	}
	return cmd
}

func (n cleanupNeeds) remove(
	ctx context.Context, age time.Duration, dry bool, progress func(int64),
) (cleanupDocument, error) {
	doc := cleanupDocument{OlderThan: dbtype.NewTime(n.DB.Now().Add(-age)), DryRun: dry}
	var err error
	doc.Events, doc.Executions, err = n.Retention.CountEvents(ctx, doc.OlderThan)
	if err != nil || dry {
		return doc, err
	}
	doc.Events, err = n.Retention.RemoveEvents(ctx, doc.OlderThan, progress)
	return doc, err
}
