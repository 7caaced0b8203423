package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/handlers/shell"
	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/inspect"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/views"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// workFlags say how a command runs one execution in this process.
type workFlags struct {
	slots       int
	lease       time.Duration
	seal, quiet bool
	pass        passEnv
	dirs        runDirsFlag
}

func (f *workFlags) add(cmd *cobra.Command) {
	f.slots, f.lease = workers.DefaultSlots, workers.DefaultLease
	cmd.Flags().Var(&count{&f.slots, 1}, "workers", "run at most `N` tasks at once")
	cmd.Flags().Var(&durationFlag{&f.lease, minLease}, "lease",
		"others take this process's tasks when it has been silent for `DURATION`")
	cmd.Flags().BoolVar(&f.quiet, "quiet", false, "do not show what the tasks write")
	f.dirs.add(cmd)
	f.pass.add(cmd, "pass `NAME` or PREFIX* to commands although it is left out by default (PGPASSWORD, PGPASSFILE); "+
		"repeatable")
	sealFlag(cmd, &f.seal)
}

func (c *cli) runCommand() *cobra.Command {
	var input inputFlags
	var labels map[string]string
	var f workFlags
	cmd := &cobra.Command{
		Use:   "run FILE|NAME",
		Short: "Start a pipeline and work it off here, with live progress",
		Long: `Starts a pipeline and works it off in this process, with live progress on standard error and what the
tasks write, each line after the task's name; on a terminal the last lines stand under the progress.
` + "`sluice logs ID`" + ` shows all of it.
No other worker claims its tasks as long as this process lives, whatever queues they are in. Interrupted, or lost, it
leaves the run as it is: ` + "`sluice serve`" + ` goes on with it.
Commands get this process's environment, but for SLUICE_*, PGPASSWORD and PGPASSFILE.`,
		Example: `  sluice run nightly.yaml --set day=2026-11-21
  sluice run wordcount -o json`,
		Args: arguments(1, 1, "a file or the name of a pipeline"),
	}
	input.add(cmd)
	labelFlag(cmd, &labels,
		"mark the run with the label `NAME=VALUE`; may be repeated, and wins over the pipeline's labels")
	f.add(cmd)
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd.Context(), c, func(ctx context.Context, n workNeeds) error {
			def, err := n.definition(ctx, c.stdin, args[0])
			if err != nil {
				return err
			}
			c.warn(def.Warnings())
			raw, err := input.resolve(ctx, def, c.stdin)
			if err != nil {
				return err
			}
			return c.workOff(ctx, n, f, def, *format,
				n.starting(engine.StartRequest{Definition: def, Input: raw, Labels: labels, Actor: actor()}))
		})
	}
	return cmd
}

// beginning starts an execution that is reserved for a worker, or restarts one that already has a history.
type beginning func(ctx context.Context, worker string) (dbtype.ID, error)

// starting returns the beginning of a new execution.
func (s Sources) starting(r engine.StartRequest) beginning {
	return func(ctx context.Context, worker string) (dbtype.ID, error) {
		r.ReservedFor = worker
		started, err := s.Engine.Start(ctx, []engine.StartRequest{r})
		if err != nil {
			return dbtype.ID{}, err
		}
		return started[0].ID, nil
	}
}

// workOff runs an execution in this process, and prints the result.
func (c *cli) workOff(
	ctx context.Context, n workNeeds, f workFlags, def *definition.Definition, format string, begin beginning,
) error {
	if err := n.runnable(def); err != nil {
		return err
	}
	store, err := f.dirs.store()
	if err != nil {
		return err
	}
	defer outliveOutput()()
	c.setCommands(n.Handlers, shell.Environment{All: true, Pass: f.pass.patterns}, n.Log)
	c.guardFiles(n.Handlers, n.DB)
	if f.seal {
		if err := n.Sealer.Enable(ctx); err != nil {
			return err
		}
	}
	config := workers.Config{
		Slots: f.slots, Lease: f.lease, Poll: runPoll, Drain: runDrain, Private: true,
		RunDirs: store, Kill: c.kill,
	}
	var output *output
	if !f.quiet {
		output = newOutput()
		config.Echo = output.open
	}
	w, err := c.begin(ctx, n, config, def, begin)
	if err != nil {
		return err
	}
	w.output = output
	x, err := w.run(ctx)
	if err != nil {
		return fmt.Errorf("run %s: %w", w.id, err)
	}
	if _, err := n.Sealer.Run(context.WithoutCancel(ctx), w.id); err != nil { // if it ended, and sealing is on
		return err
	}
	return c.outcome(ctx, w, x, format)
}

// begin starts the execution, reserved for this process's worker.
func (c *cli) begin(
	ctx context.Context, n workNeeds, config workers.Config, def *definition.Definition, begin beginning,
) (*runProgress, error) {
	pool := workers.New(config, n.Workers)
	worker, err := pool.Register(ctx)
	if err != nil {
		return nil, err
	}
	var after int64 // the events to show have greater numbers
	newest, err := n.Events.GetRecent(ctx, 1)
	for _, e := range newest {
		after = e.SequenceNum
	}
	var id dbtype.ID
	if err == nil {
		id, err = begin(ctx, worker)
	}
	if err != nil {
		return nil, errors.Join(err, n.Engine.Deregister(context.WithoutCancel(ctx), worker))
	}
	pool.WorkOn(id)
	list, err := n.Tasks.Summaries(ctx, id)
	if err != nil {
		return nil, err
	}
	w := &runProgress{
		workNeeds: n, pool: pool, id: id, def: def, follow: n.Events.Follow(id, after),
		display: &lines{out: c.stderr, again: c.again}, tasks: list,
	}
	if c.stderr.IsTerminal() {
		w.display = newLive(c.stderr, paintFor(c.stderr), def, c.again)
	}
	fmt.Fprintf(c.stderr, "%s %s\n", def.Name, id)
	return w, nil
}

// actor returns the actor of commands from this command line.
func actor() string {
	u, err := user.Current()
	if err != nil {
		return "cli:" + strconv.Itoa(os.Getuid())
	}
	return "cli:" + u.Username
}

// outcome prints the result of the run, and what to do next.
func (c *cli) outcome(ctx context.Context, w *runProgress, x pipelines.Execution, format string) error {
	interrupted := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx)
	list, err := w.Tasks.Summaries(ctx, w.id)
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
		doc := runDocument{Execution: views.OfExecution(x, starts[x.ID], w.DB.Now()), Tasks: []views.Task{}}
		if doc.Attempts, err = w.attempts(ctx, list); err != nil {
			return err
		}
		if err := printTasks(ctx, c.stdout, doc, views.OfTasks(list, w.needs(list), w.DB.Now()), w.Tasks); err != nil &&
			!errors.Is(err, syscall.EPIPE) {
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

type runDocument struct {
	Execution views.Execution   `json:"execution"`
	Tasks     []views.Task      `json:"tasks"`
	Attempts  []inspect.Attempt `json:"attempts"`
}

// attempts returns the result of each attempt.
func (w *runProgress) attempts(ctx context.Context, list []tasks.Task) ([]inspect.Attempt, error) {
	past, err := w.Events.ListByPipeline(ctx, w.id, eventstore.Page{})
	if err != nil {
		return nil, err
	}
	written, err := w.Tasks.Logs(ctx, w.id)
	if err != nil {
		return nil, err
	}
	run := inspect.Run{Tasks: list, Past: history.Fold(past)}
	if err := run.Past.DecodeErr(); err != nil {
		return nil, err
	}
	return run.Attempts(written), nil
}

func (c *cli) printOutcome(x pipelines.Execution, list []tasks.Task) {
	counts := map[tasks.Status]int{}
	for _, t := range list {
		counts[t.Status]++
	}
	fmt.Fprintf(c.stdout, "%s %s in %s: %s\n", terminal.Inline(x.PipelineName),
		paintFor(c.stdout).status(string(x.Status)), between(x.CreatedAt, x.CompletedAt), tally(counts))
	for _, t := range list {
		if t.Status == tasks.Failed || t.Status == tasks.Abandoned {
			fmt.Fprintf(c.stdout, "  %s %s (attempt %s):\n%s\n", t.TaskName, t.Status, attempts(t),
				indent(string(t.Error), "    "))
		}
	}
	next := "show"
	if x.Status == pipelines.Completed {
		next = "verify"
	}
	fmt.Fprintf(c.stdout, "next: %s %s %s\n", c.program, next, x.ID)
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
	fmt.Fprintf(c.stderr, "interrupted; the run %s is left as it is, %s to do\n", x.ID,
		counted(int64(x.OpenTasks), "task"))
	fmt.Fprintln(c.stderr, c.again(fmt.Sprintf("  `sluice serve` goes on with it; `sluice cancel %s` ends it", x.ID)))
}
