package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/retention"
	"github.com/sluiceworks/sluice/modules/rundirs"
)

// retainFlags are the settings of retention. serve and cleanup share them, so that one configuration file serves
// both.
type retainFlags struct {
	events, outputs, logs, executions time.Duration
}

func (f *retainFlags) add(cmd *cobra.Command) {
	const rest = " of executions that ended more than `AGE` ago, such as 90d; a pipeline's own retention: goes first " +
		"(default: keep)"
	cmd.Flags().Var(&durationFlag{&f.events, 0}, "retain-events", "remove the events"+rest)
	cmd.Flags().Var(&durationFlag{&f.outputs, 0}, "retain-outputs", "remove the outputs"+rest)
	cmd.Flags().Var(&durationFlag{&f.logs, 0}, "retain-logs", "remove stdout and stderr"+rest)
	cmd.Flags().Var(&durationFlag{&f.executions, 0}, "retain-executions", "remove all there is"+rest)
}

func (f *retainFlags) ages() retention.Policy {
	return retention.Policy{
		retention.Events: f.events, retention.Outputs: f.outputs, retention.Logs: f.logs,
		retention.Executions: f.executions,
	}
}

// background runs retention beside a server. The returned function stops it and waits for its end.
func (f *retainFlags) background(
	ctx context.Context, k *retention.Cleaner, every time.Duration, log *zap.Logger,
) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() { k.Watch(ctx, retention.Options{Ages: f.ages()}, every, log) })
	return func() {
		cancel()
		ended.Wait()
	}
}

// cleanedDocument is what retention removed, or would remove.
type cleanedDocument struct {
	DryRun  bool               `json:"dry_run"`
	Removed []retention.Result `json:"removed"`
	RunDirs int                `json:"run_dirs"` // directories of runs, on this machine
}

func (c *cli) cleanupCommand() *cobra.Command {
	var f retainFlags
	var pipeline string
	var dry bool
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "Remove what has been kept long enough, as the settings say",
		Long: `Does at once what ` + "`sluice serve`" +
			` does in the background: removes events, outputs, logs and whole executions
once they are as old as the retention: of their pipeline says, or else these settings. Only what has ended
is touched, in small transactions. A whole execution goes with all that belongs to it, its idempotency key
too; one that loses its events keeps its summary and its seal, one that loses its outputs can't be retried.
The directories of runs on this machine go with the executions, or with their outputs.`,
		Example: `  sluice cleanup --dry-run
  sluice cleanup --retain-events 90d --retain-logs 30d --pipeline nightly`,
		Args: arguments(0, 0, ""),
	}
	f.add(cmd)
	var dirs runDirsFlag
	dirs.add(cmd)
	cmd.Flags().StringVar(&pipeline, "pipeline", "", "only executions of the pipeline `NAME`")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only count")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return with(cmd.Context(), c, func(ctx context.Context, n cleanupNeeds) error {
			store, err := dirs.store()
			if err != nil {
				return err
			}
			doc, err := n.clean(ctx, c, retention.Options{Ages: f.ages(), Pipeline: pipeline}, dry)
			if err != nil && len(doc.Removed) == 0 {
				return err
			}
			swept, sweepErr := n.sweep(ctx, store, dry)
			doc.RunDirs, err = swept, errors.Join(err, sweepErr)
			return errors.Join(c.printCleaned(doc, *format), err)
		})
	}
	return cmd
}

func (n cleanupNeeds) clean(
	ctx context.Context, c *cli, o retention.Options, dry bool,
) (doc cleanedDocument, err error) {
	doc.DryRun = dry
	if dry {
		doc.Removed, err = n.Retention.Count(ctx, o)
		return doc, err
	}
	if c.stderr.IsTerminal() {
		rows := int64(0)
		o.Progress = func(r retention.Result) {
			rows += r.Rows
			c.progress(counted(rows, "row") + " removed")
		}
	}
	doc.Removed, err = n.Retention.Run(ctx, o)
	if errors.Is(err, retention.ErrBusy) {
		err = withHint(usageError{err}, "it does what this command would do; --dry-run shows what is left")
	}
	return doc, err
}

// sweep removes this machine's directories of runs, or counts them.
func (n cleanupNeeds) sweep(ctx context.Context, s *rundirs.Store, dry bool) (int, error) {
	dirs, err := s.Of(ctx, n.DB)
	switch {
	case err != nil:
		return 0, err
	case dry:
		return dirs.Count(ctx)
	}
	return dirs.Sweep(ctx)
}

func (c *cli) printCleaned(doc cleanedDocument, format string) error {
	if format == formatJSON {
		return printJSON(c.stdout, doc)
	}
	if len(doc.Removed) == 0 && doc.RunDirs == 0 {
		fmt.Fprintln(c.stdout, "nothing is old enough to be removed")
		return nil
	}
	rows := make([][]string, len(doc.Removed))
	for i, r := range doc.Removed {
		rows[i] = []string{
			r.PipelineName, string(r.Kind), strconv.FormatInt(r.Executions, 10),
			strconv.FormatInt(r.Rows, 10),
		}
	}
	what := "removed"
	if doc.DryRun {
		what = "would remove"
	}
	if len(rows) > 0 {
		fmt.Fprintln(c.stdout, renderTable([]string{"pipeline", what, "of executions", "rows"}, rows, 0))
	}
	if doc.RunDirs > 0 {
		fmt.Fprintf(c.stdout, "%s the directories of %s on this machine\n", what, counted(int64(doc.RunDirs), "run"))
	}
	return nil
}
