package app

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/schedules"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/duration"
)

func (c *cli) schedulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "schedules",
		Short:   "Show when schedules are due",
		Long:    "Shows when a schedule is due, in UTC and in its time zone, across clock changes (docs/schedules.md).",
		Example: "  sluice schedules next '30 4 * * MON-FRI' --timezone Europe/Berlin",
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.schedulesNextCommand())
	return cmd
}

const (
	defaultDue = 10
	maxDue     = 10_000
)

// nextFlags say what is due, and which due times are asked for.
type nextFlags struct {
	spec        schedules.Spec
	from, until string
	count       int
}

// dueRow is one due time.
type dueRow struct {
	DueAt       dbtype.Time `json:"due_at"`
	LocalTime   string      `json:"local_time"` // the same with the offset of the time zone
	Timezone    string      `json:"timezone"`
	MissingTime dbtype.Text `json:"missing_time"` // the local time that it stands for, if a clock change left that out

	day string
}

func (c *cli) schedulesNextCommand() *cobra.Command {
	f := nextFlags{count: defaultDue}
	cmd := &cobra.Command{
		Use:   "next [EXPR]",
		Short: "Print when an expression, an interval or listed times are due next",
		Long: `Prints the next times at which a cron expression is due, an interval (--every) or listed times (--at).
It needs no database. A clock change leaves local times out or repeats them: docs/schedules.md says what
happens to them.`,
		Example: `  sluice schedules next '30 4 * * MON-FRI' --timezone Europe/Berlin
  sluice schedules next @daily --timezone America/Santiago --from 2026-09-05 --count 3 -o json
  sluice schedules next --every 90m --starting '2026-11-21 09:00' --until 7d`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return withHint(usagef("unexpected argument %q", args[1]),
					"put the expression in quotes, such as 'sluice schedules next \"30 4 * * *\"'")
			}
			return nil
		},
	}
	f.declare(cmd)
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.spec.Cron = strings.Join(args, "")
		if cmd.Flags().Changed("until") && !cmd.Flags().Changed("count") {
			f.count = maxDue
		}
		rows, more, err := f.due(time.Now()) //nolint:forbidigo // no database is open
		if err != nil {
			return err
		}
		if more && f.until != "" {
			fmt.Fprintf(c.stderr, "more are due until then: go on with --from %s\n",
				rows[len(rows)-1].DueAt.Format(time.RFC3339Nano))
		}
		if *format == formatJSON {
			return printList(c.stdout, rows, "")
		}
		c.printDue(rows)
		return nil
	}
	return cmd
}

func (f *nextFlags) declare(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Var(&durationFlag{&f.spec.Every, time.Second}, "every", "due after each `DURATION`, such as 90m or 1d")
	flags.StringVar(&f.spec.Starting, "starting", "",
		"with --every, first due at `TIME` (default: whole intervals since 1970-01-01T00:00:00Z)")
	flags.StringArrayVar(&f.spec.At, "at", nil, "due at `TIME`; repeated: at each of them")
	flags.StringVar(&f.spec.Timezone, "timezone", "UTC",
		"time zone `NAME` of the expression and of times without an offset, such as Europe/Berlin")
	flags.Var(&choice{value: &f.spec.MissingTime, allowed: schedules.MissingTimes(), kind: "WHEN"}, "missing-time",
		"`WHEN` a time is due that a clock change leaves out: run_after it, or skip (default run_after, but "+
			"skip if the "+
			"expression is an interval)")
	flags.Var(&choice{value: &f.spec.RepeatedTime, allowed: schedules.RepeatedTimes(), kind: "WHEN"}, "repeated-time",
		"`WHEN` a time is due that a clock change repeats: first, last or both (default first, but both if the "+
			"expression is an interval)")
	flags.StringVar(&f.from, "from", "", "due after `TIME`, an instant or how long ago (default: now)")
	flags.StringVar(&f.until, "until", "", "due at `TIME` at the latest, an instant or how long after --from")
	flags.Var(&bounded{count{&f.count, 1}, maxDue}, "count",
		fmt.Sprintf("at most `N` times, up to %d, which is the default with --until", maxDue))
}

// due computes the due times, and whether there are more of them.
func (f *nextFlags) due(now time.Time) (rows []dueRow, more bool, err error) {
	schedule, err := f.spec.Compile()
	if err != nil {
		return nil, false, scheduleError(err)
	}
	location := schedule.Location()
	from, until, err := f.span(now, location)
	if err != nil {
		return nil, false, err
	}
	for due := range schedule.After(from) {
		if f.until != "" && due.At.After(until) {
			break
		}
		if len(rows) == f.count {
			return rows, true, nil
		}
		local := due.At.In(location)
		row := dueRow{
			DueAt: dbtype.NewTime(due.At), LocalTime: local.Format(time.RFC3339), Timezone: location.String(),
			day: local.Format("Mon"),
		}
		if !due.Missing.IsZero() {
			row.MissingTime = dbtype.Text(due.Missing.Format("2006-01-02T15:04:05"))
		}
		rows = append(rows, row)
	}
	return rows, false, nil
}

// span reads --from and --until.
func (f *nextFlags) span(now time.Time, location *time.Location) (from, until time.Time, err error) {
	from = now
	if f.from != "" {
		if from, err = readInstant(f.from, now, location); err != nil {
			return from, until, f.timeError("--from", f.from, "how long ago")
		}
	}
	if f.until == "" {
		return from, until, nil
	}
	if after, err := duration.Parse(f.until); err == nil {
		return from, from.Add(after), nil
	}
	if until, err = readInstant(f.until, now, location); err != nil {
		return from, until, f.timeError("--until", f.until, "how long after --from")
	}
	return from, until, nil
}

func (f *nextFlags) timeError(flag, text, span string) error {
	return withHint(usagef("%s: invalid time %q", flag, text),
		fmt.Sprintf("write 2026-11-21T08:00:00Z, 2026-11-21T09:00:00+01:00, 2026-11-21 08:00 (in %s), or %s: "+
			"90s, 30m, 7d",
			f.spec.Timezone, span))
}

// scheduleError returns the mistakes of a schedule in the words of the command line.
func scheduleError(err error) error {
	var problems schedules.Problems
	if !errors.As(err, &problems) {
		return err
	}
	texts, hint := make([]string, len(problems)), ""
	for i, p := range problems {
		switch texts[i] = p.Message; p.Field {
		case "":
			p.Hint = "give an expression, --every or --at, and only one of them"
		case "cron": // is the argument
		default:
			texts[i] = "--" + strings.ReplaceAll(p.Field, "_", "-") + ": " + p.Message
		}
		if hint == "" {
			hint = p.Hint
		}
	}
	return withHint(usagef("%s", strings.Join(texts, "; ")), hint)
}

func (c *cli) printDue(list []dueRow) {
	if len(list) == 0 {
		fmt.Fprintln(c.stderr, "nothing is due in that time")
		return
	}
	rows := make([][]string, len(list))
	for i, d := range list {
		note := ""
		if d.MissingTime != "" {
			note = fmt.Sprintf("for %s, which a clock change leaves out", d.MissingTime)
		}
		rows[i] = []string{d.DueAt.Format(time.RFC3339), d.day, d.LocalTime, d.Timezone, note}
	}
	printTable(c.stdout, []string{"due", "day", "local", "zone", ""}, rows)
}
