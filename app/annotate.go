package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

type annotateNeeds struct {
	fx.In
	Engine     *engine.Engine
	Executions *engine.Repository
	Tasks      *taskstore.Repository
}

func (c *cli) annotateCommand() *cobra.Command {
	var data, task, worker string
	cmd := &cobra.Command{
		Use:     "annotate ID --data JSON",
		Short:   "Write a remark into the history",
		Example: `  sluice annotate ID --task fetch --data '{"checked_by": "mara"}'`,
		Args:    arguments(1, 1, "the id of an execution"),
	}
	cmd.Flags().StringVar(&data, "data", "", "the remark, a `JSON` object")
	cmd.Flags().StringVar(&task, "task", "", "about `TASK`, not the execution as a whole")
	cmd.Flags().StringVar(&worker, "worker", "", "in the name of the worker `ID`, as sluice workers lists it")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkIDs(args[0]); err != nil {
			return err
		}
		if raw := bytes.TrimSpace([]byte(data)); !json.Valid(raw) || raw[0] != '{' {
			return withHint(usagef("--data: expected a JSON object"), `for instance --data '{"note": "checked"}'`)
		}
		if err := jsonvalue.Check([]byte(data), tasks.MaxOutput); err != nil {
			return usagef("--data: %w", err)
		}
		return with(cmd.Context(), c, func(ctx context.Context, n annotateNeeds) error {
			id, err := resolveID(ctx, n.Executions, args[0])
			if err != nil {
				return err
			}
			a := engine.Annotation{PipelineExecutionID: id, Data: dbtype.JSON(data), Worker: worker, Actor: actor()}
			about := "execution " + id.String()
			if task != "" {
				if a.TaskExecutionID, err = n.task(ctx, id, task); err != nil {
					return err
				}
				about = "task " + task + " of " + about
			}
			if err := n.Engine.Annotate(ctx, a); err != nil {
				return err
			}
			if *format == formatJSON {
				return printJSON(c.stdout, annotationDocument{
					id, a.TaskExecutionID, events.Annotation, a.Data,
					dbtype.Text(worker), dbtype.Text(a.Actor),
				})
			}
			fmt.Fprintf(c.stdout, "annotated %s\n", about)
			return nil
		})
	}
	return cmd
}

// annotationDocument is the written annotation, with the names of the event's columns.
type annotationDocument struct {
	PipelineExecutionID dbtype.ID   `json:"pipeline_execution_id"`
	TaskExecutionID     dbtype.ID   `json:"task_execution_id"` // null: about the execution
	EventType           events.Type `json:"event_type"`
	EventData           dbtype.JSON `json:"event_data"`
	WorkerID            dbtype.Text `json:"worker_id"`
	Actor               dbtype.Text `json:"actor"`
}

// task returns the id of an execution's task with the given name.
func (n annotateNeeds) task(ctx context.Context, id dbtype.ID, name string) (dbtype.ID, error) {
	if _, err := n.Executions.Get(ctx, id); err != nil {
		return dbtype.ID{}, err
	}
	list, err := n.Tasks.Summaries(ctx, id)
	if err != nil {
		return dbtype.ID{}, err
	}
	names := make([]string, len(list))
	for i, t := range list {
		if names[i] = t.TaskName; t.TaskName == name {
			return t.ID, nil
		}
	}
	return dbtype.ID{}, withHint(fmt.Errorf("%w: execution %s has none named %q", tasks.ErrNotFound, id, name),
		didYouMean(name, names, "`sluice show "+id.String()+"` lists its tasks"))
}
