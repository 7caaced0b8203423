package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/bench"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

type benchNeeds struct {
	fx.In
	Bench *bench.Bench
}

// benchDocument is the output of bench.
type benchDocument struct {
	bench.Result
	Program buildInfo `json:"program"`
}

func (c *cli) benchCommand() *cobra.Command {
	config := bench.Config{
		Shape: bench.Single, Length: 10, Width: 10, Tasks: 20_000, Slots: workers.DefaultSlots,
		Processes: 1,
	}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this engine on this database",
		Long: `Runs tasks that do nothing through the real engine and real workers, creation included, and prints what
it measured as one JSON document. It works in a tenant of its own, which it makes and removes again (--tenant does not
matter); other tenants are not touched, but other work on the same machine shows in the figures. Latencies of a run at
full speed are those of a full queue: measure them with --rate. Exit code 1 means that the checker found a breach in
what was written.`,
		Example: `  sluice bench --shape chain --length 10 --tasks 100000
  sluice bench --rate 100 --tasks 3000 -o table`,
		Args: arguments(0, 0, ""),
	}
	profile := benchFlags(cmd, &config)
	format := outputFlag(cmd, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := benchMisfits(cmd, config.Shape); err != nil {
			return err
		}
		if *profile != "" {
			f, err := os.Create(*profile)
			if err != nil {
				return fileError(err)
			}
			config.Profile = f
			defer func() { err = errors.Join(err, f.Close()) }()
		}
		plan, err := c.benchPlan(config)
		if err != nil {
			return err
		}
		c.tenant, c.skipSchemaCheck = "bench_"+strings.ReplaceAll(dbtype.NewID().String()[19:], "-", ""), true
		c.extensions = slices.Concat(c.extensions, []fx.Option{bench.Module(plan.Settings())})
		return with(db.WithTenant(cmd.Context(), c.tenant), c, func(ctx context.Context, n benchNeeds) error {
			return c.runBench(ctx, n.Bench, plan, config.Keep, *format)
		})
	}
	return cmd
}

// benchFlags adds the flags. It returns the file name for a profile.
func benchFlags(cmd *cobra.Command, config *bench.Config) (profile *string) {
	var shapes []string
	for _, s := range bench.Shapes() {
		shapes = append(shapes, string(s))
	}
	f := cmd.Flags()
	f.Var(&choice{value: (*string)(&config.Shape), allowed: shapes, kind: "SHAPE"}, "shape",
		"`SHAPE` of a run: single, chain, wide, diamond, fan-in or layers (each task needs all of the layer before)")
	f.Var(&count{&config.Length, 1}, "length", "`N` tasks of a chain, or layers")
	f.Var(&count{&config.Width, 1}, "width", "`N` tasks beside each other, of wide, fan-in and layers")
	f.Var(&count{&config.Tasks, 1}, "tasks", "run `N` tasks, or as many more as make whole runs")
	f.Var(&count{&config.Processes, 1}, "processes", "share the work between `N` processes")
	f.Var(&count{&config.Slots, 1}, "workers", "each process runs at most `N` tasks at once")
	f.Var(&bounded{count{&config.Payload, 0}, tasks.MaxOutput}, "payload",
		"each task gives `N` bytes of output, no two alike")
	f.Var(&durationFlag{&config.Sleep, 0}, "sleep", "each task takes `DURATION`")
	f.Var(&rate{&config.Rate}, "rate",
		"`N` runs arrive per second, at random (default: as fast as they are worked off)")
	f.Var(&count{&config.Ahead, 1}, "ahead",
		"without --rate, create at most `N` tasks before they are worked off (default: 10000, or two runs if they "+
			"have more)")
	f.BoolVar(&config.HoldSnapshot, "hold-snapshot", false,
		"another connection keeps a snapshot open meanwhile, as a backup does")
	f.Var(&count{&config.Pending, 0}, "pending",
		"first put `N` tasks into the outbox that stay there: half due in a year, half of a queue that nobody serves")
	f.Var(&count{&config.History, 0}, "history", "first write `N` events, or some more, of runs that have ended")
	f.BoolVar(&config.Keep, "keep", false, "leave the tenant, for a look at it")
	return f.String("cpu-profile", "", "write a profile of this process's measured time to `FILE`, for `go tool pprof`")
}

// benchMisfits returns an error for a size that the shape does not have, instead of ignoring it.
func benchMisfits(cmd *cobra.Command, shape bench.Shape) error {
	for flag, fits := range map[string]bool{"length": shape.HasLength(), "width": shape.HasWidth()} {
		if cmd.Flags().Changed(flag) && !fits {
			return usagef("the shape %s has no %s: --%s does not go with it", shape, flag, flag)
		}
	}
	return nil
}

func (c *cli) benchPlan(config bench.Config) (bench.Plan, error) {
	plan, err := bench.NewPlan(config)
	if err != nil {
		return plan, withHint(usageError{err}, "choose a smaller --length or --width")
	}
	settings := plan.Settings()
	executable, err := os.Executable()
	if err != nil && config.Processes > 1 {
		return plan, fmt.Errorf("find this program's file: %w", err)
	}
	config.Helper = func() *exec.Cmd {
		//nolint:noctx // the process ends when its input ends
		cmd := exec.Command(executable, "bench-helper", "--tenant", c.tenant, "--workers", strconv.Itoa(config.Slots),
			"--payload", strconv.Itoa(settings.Payload), "--sleep", settings.Sleep.String(), "--every",
			strconv.Itoa(settings.SampleEvery))
		// The URL is not an argument, because it may hold a password.
		cmd.Env = append(os.Environ(), variable("database-url")+"="+c.databaseURL)
		cmd.Stderr = c.stderr.Data()
		return cmd
	}
	if c.stderr.IsTerminal() {
		config.Progress = func(what string, done, total int64) {
			of := ""
			if total > 0 {
				of = fmt.Sprintf(" of %d", total)
			}
			c.progress(fmt.Sprintf("%s: %d%s", what, done, of))
		}
	}
	return bench.NewPlan(config)
}

func (c *cli) runBench(ctx context.Context, b *bench.Bench, plan bench.Plan, keep bool, format string) error {
	result, report, err := b.Run(ctx, plan)
	if c.stderr.IsTerminal() {
		c.progress("")
	}
	if keep {
		fmt.Fprintf(c.stderr, "the tenant %s is left: look at it with --tenant %s\n", c.tenant, c.tenant)
	}
	if err != nil {
		return err
	}
	if !report.OK() {
		fmt.Fprint(c.stderr, report)
	}
	doc := benchDocument{result, readBuildInfo()}
	if format == formatJSON {
		err = printJSON(c.stdout, doc)
	} else {
		c.printBench(doc)
	}
	if err == nil && !report.OK() {
		err = exitStatus(exitFailed)
	}
	return err
}
