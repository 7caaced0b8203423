package app

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/inspect"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

type outboxNeeds struct {
	fx.In
	DB         *db.DB
	Executions *engine.Repository
	Tasks      *taskstore.Repository
	Outbox     *outbox.Repository
	Leases     *leases.Repository
}

// pending is an outbox row with its task.
type pending struct {
	ID                  dbtype.Text    `json:"id"` // of the task in the YAML; null: there is no such task
	TaskExecutionID     dbtype.ID      `json:"task_execution_id"`
	PipelineExecutionID dbtype.ID      `json:"pipeline_execution_id"`
	Pipeline            dbtype.Text    `json:"pipeline"`
	Uses                string         `json:"uses"`
	Queue               string         `json:"queue"`
	Priority            tasks.Priority `json:"priority"`
	Row                 int64          `json:"row"`
	AvailableAt         dbtype.Time    `json:"available_at"` // no claim before this time
	CreatedAt           dbtype.Time    `json:"created_at"`
	AgeMS               int64          `json:"age_ms"` // since CreatedAt
	Waiting             string         `json:"waiting"`
}

func (c *cli) outboxCommand() *cobra.Command {
	limit := 1000
	var remove bool
	var cursor string
	cmd := &cobra.Command{
		Use: "outbox", Short: "List the tasks that wait for a worker, and why each waits",
		Example: "  sluice outbox\n  sluice outbox --limit 20 -o json", Args: arguments(0, 0, ""),
	}
	cmd.Flags().Var(&count{&limit, 1}, "limit", "at most `N`, those due first")
	cmd.Flags().StringVar(&cursor, "cursor", "", "go on behind the row `CURSOR`: the field next of the answer before")
	cmd.Flags().BoolVar(&remove, "remove-orphans", false,
		"remove rows that stand for no work (sluice verify finds them; there are none unless another hand wrote them)")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		after, err := parseRow(cursor)
		if err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n outboxNeeds) error {
			if remove {
				return c.removeOrphans(ctx, n, *format)
			}
			rows, next, err := n.pending(ctx, after, limit)
			if err != nil {
				return err
			}
			for i := range rows {
				rows[i].Waiting = c.again(rows[i].Waiting)
			}
			if *format == formatJSON {
				return printList(c.stdout, rows, next)
			}
			c.printPending(rows)
			if next != "" {
				fmt.Fprintf(c.stderr, "more: %s outbox --limit %d --cursor %s\n", c.program, limit, next)
			}
			return nil
		})
	}
	return cmd
}

// rowCursor is a position in the outbox after a row.
type rowCursor struct {
	at dbtype.Time
	id int64
}

// String returns the cursor of the position.
func (p rowCursor) String() string {
	return p.at.UTC().Format(time.RFC3339Nano) + "/" + strconv.FormatInt(p.id, 10)
}

// parseRow reads a cursor. The empty text is the beginning.
func parseRow(s string) (p rowCursor, err error) {
	if s == "" {
		return p, nil
	}
	at, id, _ := strings.Cut(s, "/")
	t, wrong := time.Parse(time.RFC3339Nano, at)
	if p.id, err = strconv.ParseInt(id, 10, 64); err != nil || wrong != nil {
		return p, usagef("--cursor: %q is not the field next of an answer", s)
	}
	p.at = dbtype.NewTime(t)
	return p, nil
}

// pending returns at most limit rows after a position, and the cursor of the next page, which is empty if there is
// none.
func (n outboxNeeds) pending(ctx context.Context, after rowCursor, limit int) (list []pending, next string, err error) {
	var rows []outbox.Entry
	if after.at.IsZero() {
		rows, err = n.Outbox.ListPending(ctx, limit+1)
	} else {
		rows, err = n.Outbox.ListPendingAfter(ctx, after.at, after.id, limit+1)
	}
	if err != nil {
		return nil, "", err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rowCursor{rows[limit-1].AvailableAt, rows[limit-1].ID}.String()
	}
	list, err = n.describe(ctx, rows)
	return list, next, err
}

// describe returns the rows with their tasks and with why each of them waits.
func (n outboxNeeds) describe(ctx context.Context, rows []outbox.Entry) ([]pending, error) {
	ids := make([]dbtype.ID, len(rows))
	for i, r := range rows {
		ids[i] = r.TaskExecutionID
	}
	found, err := n.Tasks.Find(ctx, ids)
	if err != nil {
		return nil, err
	}
	var executions []dbtype.ID
	for _, t := range found {
		executions = append(executions, t.PipelineExecutionID)
	}
	runs, err := n.Executions.Find(ctx, executions)
	if err != nil {
		return nil, err
	}
	f, err := inspect.ReadWorkers(ctx, n.DB, n.Leases, n.Tasks)
	if err != nil {
		return nil, err
	}
	list := make([]pending, len(rows))
	for i, r := range rows {
		t := found[r.TaskExecutionID]
		x := runs[t.PipelineExecutionID]
		list[i] = pending{
			ID: dbtype.Text(t.TaskName), TaskExecutionID: r.TaskExecutionID, PipelineExecutionID: t.PipelineExecutionID,
			Pipeline: dbtype.Text(x.PipelineName), Uses: r.Handler, Queue: r.Queue,
			Priority: tasks.PriorityOf(r.Lane / 2), Row: r.ID,
			AvailableAt: r.AvailableAt, CreatedAt: r.CreatedAt, AgeMS: f.Now.Sub(r.CreatedAt.Time).Milliseconds(),
			Waiting: f.DuePending(r, t, x),
		}
	}
	return list, nil
}

func (c *cli) printPending(list []pending) {
	if len(list) == 0 {
		fmt.Fprintln(c.stderr, "nothing waits for a worker")
		return
	}
	rows := make([][]string, len(list))
	for i, r := range list {
		rows[i] = []string{
			strconv.FormatInt(r.Row, 10), string(r.Pipeline), string(r.ID), r.Uses, r.Queue, moment(r.AvailableAt),
			span(msec(r.AgeMS)), r.Waiting, r.PipelineExecutionID.String(),
		}
	}
	printFitted(c.stdout, []string{
		"row", "pipeline", "task", "handler", "queue", "available", "age", "why it waits",
		"execution",
	}, rows, "why it waits", "pipeline", "task")
}

// removeOrphans removes rows without a task to run.
func (c *cli) removeOrphans(ctx context.Context, n outboxNeeds, format string) error {
	var removed int64
	err := n.DB.Transaction(ctx, func(tx db.Tx) (err error) {
		removed, err = n.Outbox.DeleteOrphans(tx, tx.Now)
		return err
	})
	if err != nil {
		return err
	}
	if format == formatJSON {
		return printJSON(c.stdout, map[string]int64{"removed": removed})
	}
	fmt.Fprintf(c.stdout, "removed %s\n", counted(removed, "stray row"))
	return nil
}
