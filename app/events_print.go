package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/inspect"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// printNoEvents says that there are no events, and whether retention removed them.
func (c *cli) printNoEvents(ctx context.Context, n eventsNeeds, f eventstore.Filter) error {
	id := f.PipelineExecutionID
	if !f.TaskExecutionID.IsZero() {
		t, err := n.Tasks.Get(ctx, f.TaskExecutionID)
		if err != nil {
			return err
		}
		id = t.PipelineExecutionID
	}
	var x pipelines.Execution
	if !id.IsZero() {
		var err error
		if x, err = n.Executions.Get(ctx, id); err != nil {
			return err
		}
	}
	if x.EventsRemoved > 0 {
		fmt.Fprintf(c.stderr, "no events: retention has removed the history of this execution, %s\n",
			counted(x.EventsRemoved, "event"))
		return nil
	}
	fmt.Fprintln(c.stderr, "no events")
	return nil
}

func (c *cli) printEvents(list []events.Event, names map[dbtype.ID]string, many bool) error {
	heading := eventHeading(many)
	rows := make([][]string, len(list))
	for i, e := range list {
		row, err := eventRow(e, names, many)
		if err != nil {
			return err
		}
		rows[i] = row
	}
	printFitted(c.stdout, heading, rows, "what", "by", "pipeline", "task")
	return nil
}

func eventHeading(many bool) []string {
	heading := []string{"time", "task", "event", "v", "what", "by"}
	if many {
		heading = append([]string{"execution", "pipeline"}, heading...)
	}
	return heading
}

// eventRow returns an event as a row under eventHeading.
func eventRow(e events.Event, names map[dbtype.ID]string, many bool) ([]string, error) {
	s, err := inspect.Describe(e)
	if err != nil {
		return nil, err
	}
	version := ""
	if e.Version != nil {
		version = fmt.Sprint(*e.Version)
	}
	by := strings.Join(slices.DeleteFunc([]string{string(e.WorkerID), string(e.Actor)},
		func(s string) bool { return s == "" }), ", ")
	row := []string{momentMS(e.CreatedAt.Time), names[e.TaskExecutionID], string(e.EventType), version, s.Brief(), by}
	if many {
		row = append([]string{e.PipelineExecutionID.String(), names[e.PipelineExecutionID]}, row...)
	}
	return row, nil
}
