package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

type eventsNeeds struct {
	fx.In
	DB         *db.DB
	Executions *engine.Repository
	Tasks      *taskstore.Repository
	Events     *eventstore.Repository
}

// eventsFlags select from the history.
type eventsFlags struct {
	pipeline, task, kind, since string
	limit                       int // 0: all of one execution, otherwise defaultEvents
	follow                      bool
	cursor                      string
}

const defaultEvents = 100

func (c *cli) eventsCommand() *cobra.Command {
	var f eventsFlags
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show the history",
		Long: `Shows the history, oldest first: of one execution or task whole, else the newest 100 events. Where older
ones are left out, the answer has the cursor that --cursor takes to show them.

With --follow it shows each event that is committed from now on, once, until it is interrupted, as tail -f does; of an
execution or task that is named also the events before. --since begins at a time, --since all (or 0) at the beginning of
the history, --cursor behind an event. It waits for a database that goes away. With -o json it writes an event a line
with its cursor: given to --follow --cursor later, that goes on behind the event.`,
		Example: `  sluice events --pipeline-execution ID
  sluice events --type task_failed --since 7d
  sluice events --follow --since all
  sluice events --follow -o json --cursor CURSOR`,
		Args: arguments(0, 0, ""),
	}
	f.declare(cmd)
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		from, err := f.startCursor()
		if err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n eventsNeeds) error {
			if f.follow {
				return c.follow(ctx, n, f, from, *format)
			}
			filter, err := n.filter(ctx, f)
			if err != nil {
				return err
			}
			list, next, err := n.page(ctx, filter)
			if err != nil {
				return err
			}
			if *format == formatJSON {
				return printList(c.stdout, list, next)
			}
			names, err := n.names(ctx, list)
			if err != nil {
				return err
			}
			if next != "" {
				fmt.Fprintf(c.stderr, "older ones: %s events%s --limit %d --cursor %s\n", c.program, f.line(),
					filter.Limit, next)
			}
			if len(list) == 0 {
				return c.printNoEvents(ctx, n, filter)
			}
			return c.printEvents(list, names, f.pipeline == "" && f.task == "")
		})
	}
	return cmd
}

func (f *eventsFlags) declare(cmd *cobra.Command) {
	allowed := []string{}
	for _, t := range events.Types() {
		allowed = append(allowed, string(t))
	}
	cmd.Flags().StringVar(&f.pipeline, "pipeline-execution", "",
		"only the events of the execution `ID` and of its tasks")
	cmd.Flags().StringVar(&f.task, "task-execution", "", "only the events of the task execution `ID`")
	cmd.Flags().Var(&choice{value: &f.kind, allowed: allowed, kind: "TYPE"}, "type",
		"only events of `TYPE`, such as task_failed")
	cmd.Flags().StringVar(&f.since, "since", "",
		"only events since `TIME`: 2026-11-21T08:00:00Z, or a duration such as 1h or 7d ago; all or 0: since the "+
			"beginning")
	cmd.Flags().Var(&count{&f.limit, 1}, "limit", "only the newest `N`; with --follow, end after N")
	cmd.Flags().BoolVar(&f.follow, "follow", false, "go on with what is committed from now on")
	cmd.Flags().StringVar(&f.cursor, "cursor", "",
		"older events than those of the answer with this `CURSOR` as its next; with --follow, begin behind the event "+
			"with this cursor")
}

// startCursor reads --cursor. Without --follow it only checks it.
func (f eventsFlags) startCursor() (eventstore.Cursor, error) {
	if !f.follow {
		if n, err := strconv.ParseInt(f.cursor, 10, 64); f.cursor != "" && (err != nil || n < 1) {
			return eventstore.Cursor{}, withHint(usagef("--cursor: %q is not the field next of an answer", f.cursor),
				"a cursor of --follow goes with --follow")
		}
		return eventstore.Cursor{}, nil
	}
	from, err := eventstore.ParseCursor(f.cursor)
	if err != nil {
		return from, withHint(usagef("--cursor: %w", err),
			"take the field cursor of a line that `sluice events --follow -o json` wrote, all of it")
	}
	return from, nil
}

// filter reads the flags.
func (n eventsNeeds) filter(ctx context.Context, f eventsFlags) (eventstore.Filter, error) {
	filter := eventstore.Filter{EventType: events.Type(f.kind), Newest: true, Page: eventstore.Page{Limit: f.limit}}
	var err error
	if f.pipeline != "" {
		if filter.PipelineExecutionID, err = resolveID(ctx, n.Executions, f.pipeline); err != nil {
			return filter, err
		}
	}
	if f.task != "" {
		if filter.TaskExecutionID, err = parseTaskID(f.task); err != nil {
			return filter, err
		}
	}
	if f.limit == 0 && f.pipeline == "" && f.task == "" {
		filter.Limit = defaultEvents
	}
	if !f.follow && f.cursor != "" {
		filter.After, _ = strconv.ParseInt(f.cursor, 10, 64) // place has checked it
	}
	if f.all() {
		return filter, nil
	}
	filter.Since, err = parseInstant("--since", f.since, n.DB.Now())
	return filter, err
}

// all reports whether the flags ask for the whole history.
func (f eventsFlags) all() bool { return f.since == "all" || f.since == "0" }

// line returns the flags as they would be given again.
func (f eventsFlags) line() string {
	text := ""
	for _, flag := range [][2]string{
		{"pipeline-execution", f.pipeline},
		{"task-execution", f.task},
		{"type", f.kind},
		{"since", f.since},
	} {
		if flag[1] != "" {
			text += " --" + flag[0] + " " + quoted(flag[1])
		}
	}
	return text
}

// known returns an error for an id that does not exist, because an empty answer would look like a run without events.
func (n eventsNeeds) known(ctx context.Context, f eventstore.Filter) error {
	if !f.PipelineExecutionID.IsZero() {
		if _, err := n.Executions.Get(ctx, f.PipelineExecutionID); err != nil {
			return err
		}
	}
	if !f.TaskExecutionID.IsZero() {
		if _, err := n.Tasks.Get(ctx, f.TaskExecutionID); err != nil {
			return withHint(err, "`sluice show ID -o json` has the ids of an execution's tasks")
		}
	}
	return nil
}

// page returns the events, oldest first, and the cursor of those before them, which is empty if there are none.
func (n eventsNeeds) page(ctx context.Context, f eventstore.Filter) (list []events.Event, next string, err error) {
	if err := n.known(ctx, f); err != nil {
		return nil, "", err
	}
	limit := f.Limit
	if limit > 0 {
		f.Limit++
	}
	list, err = n.Events.List(ctx, f)
	if limit > 0 && len(list) > limit {
		list = list[:limit]
		next = strconv.FormatInt(list[limit-1].SequenceNum, 10)
	}
	slices.Reverse(list)
	return list, next, err
}

// names returns the names of tasks and pipelines by id.
func (n eventsNeeds) names(ctx context.Context, list []events.Event) (map[dbtype.ID]string, error) {
	var taskIDs, pipelineIDs []dbtype.ID
	seen := map[dbtype.ID]bool{}
	for _, e := range list {
		if !seen[e.TaskExecutionID] && !e.TaskExecutionID.IsZero() {
			taskIDs = append(taskIDs, e.TaskExecutionID)
		}
		if !seen[e.PipelineExecutionID] {
			pipelineIDs = append(pipelineIDs, e.PipelineExecutionID)
		}
		seen[e.TaskExecutionID], seen[e.PipelineExecutionID] = true, true
	}
	names := map[dbtype.ID]string{}
	found, err := n.Tasks.Find(ctx, taskIDs)
	if err != nil {
		return nil, err
	}
	for id, t := range found {
		names[id] = t.TaskName
	}
	runs, err := n.Executions.Find(ctx, pipelineIDs)
	for id, x := range runs {
		names[id] = x.PipelineName
	}
	return names, err
}
