package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

type logsNeeds struct {
	fx.In
	DB         *db.DB
	Executions *engine.Repository
	Tasks      *taskstore.Repository
	Events     *eventstore.Repository
	Log        *zap.Logger
}

// logsFlags select from the output of a run's tasks.
type logsFlags struct {
	follow, failed bool
	attempt        int
}

func (c *cli) logsCommand() *cobra.Command {
	var f logsFlags
	cmd := &cobra.Command{
		Use:   "logs ID [TASK]",
		Short: "Show what the tasks of an execution write",
		Long: `Shows what the tasks of an execution, or one of them, have written to standard output and standard error.
Output is stored about a second after it is written, whatever then becomes of the attempt. Of several tasks each line
stands after the name of its task; that of a second attempt is NAME#2.

With --follow it goes on with what is written until the execution has ended; it asks the database once a second.
With -o json it then writes a chunk a line.`,
		Example: `  sluice logs latest
  sluice logs ID build --attempt 2
  sluice logs ID --follow
  sluice logs ID --failed`,
		Args: arguments(1, 2, "the id of an execution, and the name of a task"),
	}
	cmd.Flags().BoolVarP(&f.follow, "follow", "f", false, "go on until the execution has ended")
	cmd.Flags().Var(&count{&f.attempt, 1}, "attempt", "only those of attempt `N`")
	cmd.Flags().BoolVar(&f.failed, "failed", false, "only those of attempts that did not go well")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.follow && f.failed {
			return withHint(usagef("--follow and --failed exclude each other"), "what fails is known when it has ended")
		}
		if err := checkIDs(args[0]); err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n logsNeeds) error {
			id, err := resolveID(ctx, n.Executions, args[0])
			if err != nil {
				return err
			}
			l := &logReader{needs: n, flags: f, id: id, out: c.logWriter(*format, f.follow)}
			if err := l.selectTasks(ctx, args[1:]); err != nil {
				return err
			}
			if f.follow {
				return l.follow(ctx)
			}
			if err := l.read(ctx, l.all()); err != nil {
				return err
			}
			return l.out.end()
		})
	}
	return cmd
}

// attemptKey identifies one attempt of one task.
type attemptKey struct {
	task    dbtype.ID
	attempt int
}

// logReader reads the log chunks of an execution.
type logReader struct {
	needs logsNeeds
	flags logsFlags
	id    dbtype.ID
	out   logWriter

	ids      []dbtype.ID // of the tasks, in the order of creation
	names    map[dbtype.ID]string
	failed   map[attemptKey]bool
	position map[dbtype.ID]taskstore.Position
	versions map[dbtype.ID]int64
}

// selectTasks looks up the tasks to show, all or one.
func (l *logReader) selectTasks(ctx context.Context, only []string) error {
	if _, err := l.needs.Executions.Get(ctx, l.id); err != nil {
		return err
	}
	list, err := l.needs.Tasks.Summaries(ctx, l.id)
	if err != nil {
		return err
	}
	l.names, l.position, l.versions = map[dbtype.ID]string{}, map[dbtype.ID]taskstore.Position{}, map[dbtype.ID]int64{}
	known := make([]string, len(list))
	for i, t := range list {
		known[i] = t.TaskName
		if len(only) == 0 || only[0] == t.TaskName {
			l.ids = append(l.ids, t.ID)
			l.names[t.ID] = t.TaskName
			l.position[t.ID] = taskstore.Position{TaskExecutionID: t.ID}
		}
	}
	if len(only) > 0 && len(l.ids) == 0 {
		return withHint(fmt.Errorf("%w: the execution has no task %q", tasks.ErrNotFound, only[0]),
			didYouMean(only[0], known, "`sluice show "+l.id.String()+"` lists them"))
	}
	l.out.several(len(l.ids) > 1)
	if !l.flags.failed {
		return nil
	}
	return l.findFailed(ctx, list)
}

// findFailed finds the attempts that failed.
func (l *logReader) findFailed(ctx context.Context, list []tasks.Task) error {
	events, err := l.needs.Events.ListByPipeline(ctx, l.id, eventstore.Page{})
	if err != nil {
		return err
	}
	past := history.Fold(events)
	if err := past.DecodeErr(); err != nil {
		return err
	}
	l.failed = map[attemptKey]bool{}
	for _, t := range list {
		for n, a := range past.Task(t.ID).Attempts {
			l.failed[attemptKey{t.ID, n}] = a.Error != ""
		}
		if t.Status == tasks.Failed || t.Status == tasks.Abandoned { // known without the history too
			l.failed[attemptKey{t.ID, t.Attempt}] = true
		}
	}
	return nil
}

// all returns the positions up to which each task has been read.
func (l *logReader) all() []taskstore.Position {
	list := make([]taskstore.Position, len(l.ids))
	for i, id := range l.ids {
		list[i] = l.position[id]
	}
	return list
}

// read shows the chunks after the positions.
func (l *logReader) read(ctx context.Context, after []taskstore.Position) error {
	return l.needs.Tasks.ReadChunks(ctx, after, func(c tasks.Chunk) error {
		l.position[c.TaskExecutionID] = taskstore.Position{
			TaskExecutionID: c.TaskExecutionID, Attempt: c.Attempt,
			Seq: c.Seq,
		}
		if l.flags.attempt > 0 && c.Attempt != l.flags.attempt || l.failed != nil &&
			!l.failed[attemptKey{c.TaskExecutionID, c.Attempt}] {
			return nil
		}
		return l.out.write(l.names[c.TaskExecutionID], c)
	})
}

const (
	followEvery = time.Second
	followLate  = 3 * time.Second // handlers of a cancelled run may still write
)

// follow shows new output until the execution has ended. If the database fails, it retries.
func (l *logReader) follow(ctx context.Context) error {
	var ended time.Time
	for {
		x, err := l.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // an interrupt is a normal end
		case errors.Is(err, db.ErrUnavailable):
			l.needs.Log.Warn("the database is away, trying again", zap.Error(err))
		case err != nil:
			return err
		case x.Status == pipelines.Cancelled && ended.IsZero():
			ended = l.needs.DB.Now()
		case x.Status.Terminal() && (ended.IsZero() || l.needs.DB.Now().Sub(ended) > followLate):
			return l.out.end()
		}
		timer := time.NewTimer(followEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// poll shows new output. It reads the execution first, so that it sees everything that tasks wrote before the end. It
// reads only tasks that run or have changed.
func (l *logReader) poll(ctx context.Context) (pipelines.Execution, error) {
	found, err := l.needs.Executions.Find(ctx, []dbtype.ID{l.id})
	if err != nil {
		return pipelines.Execution{}, err
	}
	list, err := l.needs.Tasks.Find(ctx, l.ids)
	if err != nil {
		return pipelines.Execution{}, err
	}
	var after []taskstore.Position
	for _, id := range l.ids {
		t := list[id]
		if t.Version != l.versions[id] || t.Status == tasks.Running || t.Status == tasks.Cancelled {
			after = append(after, l.position[id])
		}
	}
	if err := l.read(ctx, after); err != nil {
		return pipelines.Execution{}, err
	}
	for id, t := range list {
		l.versions[id] = t.Version
	}
	if err := l.out.flush(); err != nil {
		return pipelines.Execution{}, err
	}
	return found[l.id], nil
}

// logWriter writes chunks in one format.
type logWriter interface {
	several(bool) // whether there is more than one task
	write(task string, c tasks.Chunk) error
	flush() error
	end() error // everything has been written
}

func (c *cli) logWriter(format string, follow bool) logWriter {
	if format == formatJSON {
		return &logJSON{to: c.stdout, stream: follow}
	}
	return &logLines{to: c.stdout, follows: follow, streams: map[logStream]*logStreamState{}}
}
