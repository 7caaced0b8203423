package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

type diffNeeds struct {
	fx.In
	DB         *db.DB
	Executions *engine.Repository
	Tasks      *taskstore.Repository
	Events     *eventstore.Repository
}

// diffDocument is how two runs differ. The times are null if one of them has no history any more.
type diffDocument struct {
	First        diffSide             `json:"first"`
	Second       diffSide             `json:"second"`
	Differences  []history.Difference `json:"differences"`
	Durations    []history.TaskTime   `json:"durations"` // largest difference first
	CriticalPath []history.KindTime   `json:"critical_path"`
}

// diffSide is one of the two runs.
type diffSide struct {
	ID                dbtype.ID        `json:"id"`
	PipelineName      string           `json:"pipeline"`
	DefinitionVersion string           `json:"definition_version"`
	Status            pipelines.Status `json:"status"`
	CreatedAt         dbtype.Time      `json:"created_at"`
	DurationMS        int64            `json:"duration_ms"` // so far, if it has not ended
	EventsRemoved     int64            `json:"events_removed"`
}

// diffFlags say what is compared, and how much of it is shown.
type diffFlags struct {
	force, all bool
}

func (c *cli) diffCommand() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:     "diff ID ID",
		Example: "  sluice diff 01a2 latest\n  sluice diff ID ID -o json",
		Short:   "Show how two executions of a pipeline differ, and where the time went",
		Long: `Compares two executions, the second with the first: definition, input, which tasks there are and what
became of each, and how long each took of what, those that differ most first. A task's time counts from when it was
ready.`,
		Args: arguments(2, 2, "the ids of two executions"),
	}
	cmd.Flags().BoolVar(&f.force, "force", false,
		"compare executions of different pipelines too, task by task of the same name")
	cmd.Flags().BoolVar(&f.all, "all", false,
		"print every difference (else the first 40, and the 20 tasks whose times differ most); json has all")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkIDs(args...); err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n diffNeeds) error {
			first, err := resolveID(ctx, n.Executions, args[0])
			if err != nil {
				return err
			}
			second, err := resolveID(ctx, n.Executions, args[1])
			if err != nil {
				return err
			}
			var doc diffDocument
			err = n.DB.Snapshot(ctx, func(ctx context.Context) error {
				doc, err = n.compare(ctx, first, second, f.force)
				return err
			})
			if err != nil {
				return err
			}
			if *format == formatJSON {
				return printJSON(c.stdout, doc)
			}
			c.printDiff(doc, f.all)
			return nil
		})
	}
	return cmd
}

func (n diffNeeds) compare(ctx context.Context, first, second dbtype.ID, force bool) (diffDocument, error) {
	now := dbtype.NewTime(n.DB.Now())
	a, err := n.run(ctx, first, now)
	if err != nil {
		return diffDocument{}, err
	}
	b, err := n.run(ctx, second, now)
	if err != nil {
		return diffDocument{}, err
	}
	if x, y := a.Execution.PipelineName, b.Execution.PipelineName; x != y && !force {
		return diffDocument{}, withHint(usagef("%s is an execution of %s, and %s one of %s", first, x, second, y),
			"`sluice list --pipeline "+x+
				"` lists what can be compared with the first; --force compares these two all the same")
	}
	c, err := history.Compare(a, b)
	if err != nil {
		return diffDocument{}, err
	}
	doc := diffDocument{
		First: sideOf(a, now), Second: sideOf(b, now), Differences: c.Differences,
		Durations: c.Durations, CriticalPath: c.Critical,
	}
	if a.Timeline == nil || b.Timeline == nil {
		doc.Durations, doc.CriticalPath = nil, nil
	}
	return doc, nil
}

// run reads one side. If the history is missing or broken, the side has no times.
func (n diffNeeds) run(ctx context.Context, id dbtype.ID, now dbtype.Time) (r history.Run, err error) {
	if r.Execution, err = n.Executions.Get(ctx, id); err != nil {
		return r, err
	}
	r.Outputs = func(ids []dbtype.ID) (map[dbtype.ID]dbtype.JSON, error) { return n.Tasks.OutputsOf(ctx, ids) }
	if r.Tasks, err = n.Tasks.Summaries(ctx, id); err != nil || r.Execution.EventsRemoved > 0 {
		return r, err
	}
	list, err := n.Events.ListByPipeline(ctx, id, eventstore.Page{})
	if err != nil {
		return r, err
	}
	r.Timeline, err = history.Fold(list).Timeline(now)
	if errors.Is(err, history.ErrBroken) {
		return r, nil
	}
	return r, err
}

func sideOf(r history.Run, now dbtype.Time) diffSide {
	x, end := r.Execution, r.Execution.CompletedAt
	if end.IsZero() {
		end = now
	}
	return diffSide{x.ID, x.PipelineName, x.DefinitionVersion, x.Status, x.CreatedAt, end.Sub(x.CreatedAt.Time).
		Milliseconds(), x.EventsRemoved}
}

const (
	shownDifferences = 40
	shownDurations   = 20
)

func (c *cli) printDiff(doc diffDocument, all bool) {
	p := paintFor(c.stdout)
	for i, s := range []diffSide{doc.First, doc.Second} {
		took := span(msec(s.DurationMS))
		if !s.Status.Terminal() {
			took += " so far"
		}
		fmt.Fprintf(c.stdout, "%-7s %s  %s %s  %s, %s\n", []string{"first", "second"}[i], s.ID, s.PipelineName,
			p.status(string(s.Status)), moment(s.CreatedAt), took)
	}
	c.printDifferences(doc, all, p)
	if doc.Durations == nil {
		fmt.Fprintln(c.stdout,
			"\nwhere the time went is not known: the history of one of them was removed by retention, or is broken")
		return
	}
	c.printTimes(doc, all)
}

func (c *cli) printDifferences(doc diffDocument, all bool, p paint) {
	if len(doc.Differences) == 0 {
		fmt.Fprintln(c.stdout, "\nnothing went differently but for the time")
		return
	}
	shown := doc.Differences
	if !all && len(shown) > shownDifferences {
		shown = shown[:shownDifferences]
	}
	rows := make([][]string, len(shown))
	for i, d := range shown {
		name := string(d.TaskName)
		if name == "" {
			name = "(execution)"
		}
		rows[i] = []string{name, d.Field, p.status(brief(d.First)), p.status(brief(d.Second))}
	}
	fmt.Fprintln(c.stdout)
	printTable(c.stdout, []string{"what", "field", "first", "second"}, rows)
	if left := len(doc.Differences) - len(shown); left > 0 {
		fmt.Fprintf(c.stdout, "%s more: --all\n", counted(int64(left), "difference"))
	}
}

// brief writes a value on one line.
func brief(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case tasks.Status:
		return string(v)
	case string:
		return firstLine(v, 50)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return firstLine(string(raw), 50)
}

func (c *cli) printTimes(doc diffDocument, all bool) {
	shown := doc.Durations
	if !all && len(shown) > shownDurations {
		shown = shown[:shownDurations]
	}
	rows := [][]string{{
		"critical path", span(msec(doc.First.DurationMS)), span(msec(doc.Second.DurationMS)),
		delta(doc.Second.DurationMS - doc.First.DurationMS), where(doc.CriticalPath),
	}}
	for _, t := range shown {
		rows = append(rows, []string{
			t.TaskName, optional(t.FirstMS), optional(t.SecondMS), delta(t.DeltaMS),
			where(t.Kinds),
		})
	}
	fmt.Fprintln(c.stdout)
	printTable(c.stdout, []string{"where the time went", "first", "second", "difference", "of which"}, rows)
	if left := len(doc.Durations) - len(shown); left > 0 {
		fmt.Fprintf(c.stdout, "%s more, whose times differ less: --all\n", counted(int64(left), "task"))
	}
}

func optional(ms *int64) string {
	if ms == nil {
		return "-"
	}
	return span(msec(*ms))
}

// delta writes a difference of two durations with its sign.
func delta(ms int64) string {
	switch {
	case ms > 0:
		return "+" + span(msec(ms))
	case ms < 0:
		return "-" + span(msec(-ms))
	}
	return "0"
}

// where breaks a difference down into kinds.
func where(list []history.KindTime) string {
	var parts []string
	for _, k := range list {
		if k.DeltaMS != 0 {
			parts = append(parts, words(k.Kind)+" "+delta(k.DeltaMS))
		}
	}
	return strings.Join(parts, ", ")
}
