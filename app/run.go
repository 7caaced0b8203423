package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/handlers/shell"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/views"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/terminal"
)

func (c *cli) runCommand() *cobra.Command {
	var input inputFlags
	var labels map[string]string
	slots, lease := workers.DefaultSlots, workers.DefaultLease
	cmd := &cobra.Command{
		Use:   "run FILE|NAME",
		Short: "Start a pipeline and work it off here, with live progress",
		Long: `Starts a pipeline and works it off in this process, with live progress on standard error and what the tasks write, each line
after the task's name; on a terminal the last lines stand under the progress. ` + "`sluice logs ID`" + ` shows all of it.
No other worker claims its tasks as long as this process lives, whatever queues they are in. Interrupted, or lost, it leaves the run as it is:
` + "`sluice serve`" + ` goes on with it.
Commands get this process's environment, but for SLUICE_*, PGPASSWORD and PGPASSFILE.`,
		Example: `  sluice run nightly.yaml --set day=2026-11-21
  sluice run wordcount -o json`,
		Args: arguments(1, 1, "a file or the name of a pipeline"),
	}
	input.add(cmd)
	labelFlag(cmd, &labels, "mark the run with the label `NAME=VALUE`; may be repeated, and wins over the pipeline's labels")
	cmd.Flags().Var(&count{&slots, 1}, "workers", "run at most `N` tasks at once")
	cmd.Flags().Var(&duration{&lease, leastLease}, "lease", "others take this process's tasks when it has been silent for `DURATION`")
	var seal, quiet bool
	cmd.Flags().BoolVar(&quiet, "quiet", false, "do not show what the tasks write")
	var pass passEnv
	var dirs runDirsFlag
	dirs.add(cmd)
	pass.add(cmd, "pass `NAME` or PREFIX* to commands although it is left out by default (PGPASSWORD, PGPASSFILE); repeatable")
	sealFlag(cmd, &seal)
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		store, err := dirs.store()
		if err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n workNeeds) error {
			setEnvironment(n.Handlers, shell.Environment{All: true, Pass: pass.patterns})
			if seal {
				if err := n.Sealer.Enable(ctx); err != nil {
					return err
				}
			}
			config := workers.Config{Slots: slots, Lease: lease, Poll: runPoll, Drain: runDrain, Private: true, RunDirs: store}
			var output *output
			if !quiet {
				output = newOutput()
				config.Echo = output.open
			}
			w, err := c.begin(ctx, n, config, args[0], input, labels)
			if err != nil {
				return err
			}
			w.output = output
			x, err := w.run(ctx)
			if err != nil {
				return fmt.Errorf("run %s: %w", w.id, err)
			}
			if _, err := n.Sealer.Run(context.WithoutCancel(ctx), w.id); err != nil { // if it ended, and ends are sealed
				return err
			}
			return c.outcome(ctx, w, x, *format)
		})
	}
	return cmd
}

// begin starts the execution, reserved for this process's worker.
func (c *cli) begin(ctx context.Context, n workNeeds, config workers.Config, arg string, input inputFlags, labels map[string]string) (*work, error) {
	c.guardFiles(n.Handlers, n.DB)
	def, err := n.find(ctx, c.stdin, arg)
	if err != nil {
		return nil, err
	}
	if err := n.runnable(def); err != nil {
		return nil, err
	}
	raw, err := input.resolve(ctx, def, c.stdin)
	if err != nil {
		return nil, err
	}
	pool := workers.New(config, n.Workers)
	worker, err := pool.Register(ctx)
	if err != nil {
		return nil, err
	}
	started, err := n.Engine.Start(ctx, []pipelines.Request{{Definition: def, Input: raw, Labels: labels, Actor: actor(), ReservedFor: worker}})
	if err != nil {
		return nil, errors.Join(err, n.Engine.Deregister(context.WithoutCancel(ctx), worker))
	}
	id := started[0].ID
	pool.WorkOn(id)
	list, err := n.Tasks.ListByPipeline(ctx, id)
	if err != nil {
		return nil, err
	}
	w := &work{workNeeds: n, pool: pool, id: id, def: def, follow: newFollower(n.Events, id), display: &lines{out: c.stderr}, tasks: list}
	if c.stderr.IsTerminal() {
		w.display = newLive(c.stderr, paintFor(c.stderr), def)
	}
	fmt.Fprintf(c.stderr, "%s %s\n", def.Name, id)
	return w, nil
}

// actor is who gives orders from this command line.
func actor() string {
	u, err := user.Current()
	if err != nil {
		return "cli:" + strconv.Itoa(os.Getuid())
	}
	return "cli:" + u.Username
}

// outcome says how the run came out, and what to do next.
func (c *cli) outcome(ctx context.Context, w *work, x pipelines.Execution, format string) error {
	interrupted := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx)
	list, err := w.Tasks.ListByPipeline(ctx, w.id)
	if err != nil {
		return err
	}
	if format == formatJSON {
		if x, err = w.Executions.Get(ctx, w.id); err != nil {
			return err
		}
		starts, err := w.Executions.Starts(ctx, []pipelines.Execution{x})
		if err != nil {
			return err
		}
		if err := printJSON(c.stdout, runDocument{views.OfExecution(x, starts[x.ID], w.DB.Now()), views.OfTasks(list, w.needs(list), w.DB.Now())}); err != nil {
			return err
		}
	} else if x.Status.Terminal() {
		c.printOutcome(x, list)
	}
	switch {
	case interrupted:
		c.printInterrupted(x)
		return exitStatus(exitInterrupted)
	case x.Status != pipelines.Completed:
		return exitStatus(exitFailed)
	}
	return nil
}

// needs is what each task needs, by the id of its execution.
func (w *work) needs(list []tasks.Task) map[db.ID][]string {
	byName := map[string][]string{}
	for i := range w.def.Tasks {
		byName[w.def.Tasks[i].ID] = w.def.Tasks[i].Needs
	}
	out := make(map[db.ID][]string, len(list))
	for _, t := range list {
		out[t.ID] = append([]string{}, byName[t.TaskName]...)
	}
	return out
}

type runDocument struct {
	Execution views.Execution `json:"execution"`
	Tasks     []views.Task    `json:"tasks"`
}

func (c *cli) printOutcome(x pipelines.Execution, list []tasks.Task) {
	counts := map[tasks.Status]int{}
	for _, t := range list {
		counts[t.Status]++
	}
	fmt.Fprintf(c.stdout, "%s %s in %s: %s\n", terminal.Inline(x.PipelineName), paintFor(c.stdout).status(string(x.Status)), between(x.CreatedAt, x.CompletedAt),
		tally(counts))
	for _, t := range list {
		if t.Status == tasks.Failed || t.Status == tasks.Abandoned {
			fmt.Fprintf(c.stdout, "  %s %s (attempt %s):\n%s\n", t.TaskName, t.Status, attempts(t), indent(string(t.Error), "    "))
		}
	}
	next := "show"
	if x.Status == pipelines.Completed {
		next = "verify"
	}
	fmt.Fprintf(c.stdout, "next: sluice %s %s\n", next, x.ID)
}

// tally counts tasks by status, in the order of the lifecycle.
func tally(counts map[tasks.Status]int) string {
	text := ""
	for _, s := range tasks.Statuses() {
		if counts[s] > 0 {
			if text != "" {
				text += ", "
			}
			text += fmt.Sprintf("%d %s", counts[s], s)
		}
	}
	return text
}

func (c *cli) printInterrupted(x pipelines.Execution) {
	if x.Status.Terminal() {
		fmt.Fprintf(c.stderr, "interrupted; the run had ended: %s\n", x.Status)
		return
	}
	fmt.Fprintf(c.stderr, "interrupted; the run %s is left as it is, %s to do\n", x.ID, counted(int64(x.OpenTasks), "task"))
	fmt.Fprintf(c.stderr, "  `sluice serve` goes on with it; `sluice cancel %s` ends it\n", x.ID)
}
