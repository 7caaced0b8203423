package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// follow shows the tail of the history.
func (c *cli) follow(ctx context.Context, n eventsNeeds, f eventsFlags, from eventstore.Cursor, format string) error {
	filter, err := n.filter(ctx, f)
	if err != nil {
		return err
	}
	if err := n.known(ctx, filter); err != nil {
		return err
	}
	if f.since == "" && f.cursor == "" && f.pipeline == "" && f.task == "" {
		if from, err = n.Events.End(ctx, c.notice); err != nil {
			return err
		}
	}
	out := &eventLines{to: c.stdout, json: format == formatJSON, many: f.pipeline == "" &&
		f.task == "", names: map[dbtype.ID]string{}}
	left := f.limit
	for b, err := range n.Events.Tail(ctx, from, eventstore.TailOptions{Filter: filter, Notice: c.notice}) {
		if err != nil {
			return err
		}
		list := b.Events
		if f.limit > 0 {
			list = list[:min(left, len(list))]
			left -= len(list)
		}
		if err := out.write(ctx, n, list); err != nil {
			return err
		}
		if f.limit > 0 && left == 0 {
			return nil
		}
	}
	return nil
}

// notice says why no events arrive.
func (c *cli) notice(n eventstore.Notice) {
	switch n.Kind {
	case eventstore.Disconnected:
		fmt.Fprintf(c.stderr, "sluice: %s; trying again until it is back\n", oneLine(n.Err.Error()))
	case eventstore.Reconnected:
		fmt.Fprintln(c.stderr, "sluice: the database is back; going on where it was left")
	case eventstore.Unblocked:
		fmt.Fprintln(c.stderr, "sluice: the open transactions have ended; going on")
	case eventstore.Blocked:
		fmt.Fprintf(c.stderr,
			"sluice: events have waited for %s behind open transactions that may have earlier ones; nothing is lost\n",
			span(n.Lag))
		for _, s := range n.Blockers {
			fmt.Fprintf(c.stderr, "  %s\n", describeSession(s))
		}
		fmt.Fprintln(c.stderr, c.again("  `sluice doctor` says more"))
	}
}

// describeSession names a session with an open transaction, with what a person needs to find it.
func describeSession(s db.Session) string {
	if s.Kind != "session" {
		return fmt.Sprintf("%s %q, database %s, since %s",
			map[string]string{"prepared": "prepared transaction", "slot": "replication slot"}[s.Kind],
			string(s.Name), s.Database, moment(s.Since))
	}
	parts := []string{fmt.Sprintf("pid %d", s.PID), "database " + string(s.Database), "user " + string(s.User)}
	if s.Application != "" {
		parts = append(parts, "application "+string(s.Application))
	}
	if s.Hidden() {
		return strings.Join(append(parts, "(its state is shown to members of pg_monitor alone)"), ", ")
	}
	parts = append(parts, string(s.State), "since "+moment(s.Since))
	if s.Query != "" {
		parts = append(parts, "last: "+strings.Join(strings.Fields(string(s.Query)), " "))
	}
	return strings.Join(parts, ", ")
}

// eventLines writes events as they arrive, one per line: as JSON, or in columns of fixed widths, because the widths
// of later events are not known.
type eventLines struct {
	to         *terminal.Writer
	json, many bool
	begun      bool
	names      map[dbtype.ID]string // of the latest ones
}

// columnWidths are the widths of the table. A longer cell moves the rest of its line to the right.
var columnWidths = []int{29, 16, 20, 3, 40, 0}

const maxNames = 10_000

func (l *eventLines) write(ctx context.Context, n eventsNeeds, list []eventstore.TailedEvent) error {
	if l.json {
		enc := json.NewEncoder(l.to.JSONLines())
		enc.SetEscapeHTML(false)
		for _, e := range list {
			if err := enc.Encode(e); err != nil {
				return fmt.Errorf("write the events: %w", err)
			}
		}
		return nil
	}
	if err := l.learn(ctx, n, list); err != nil {
		return err
	}
	if !l.begun {
		l.begun = true
		if err := l.line(strings.Split(strings.ToUpper(strings.Join(eventHeading(l.many), "\n")), "\n")); err != nil {
			return err
		}
	}
	for _, e := range list {
		row, err := eventRow(e.Event, l.names, l.many)
		if err != nil {
			return err
		}
		if err := l.line(row); err != nil {
			return err
		}
	}
	return nil
}

// learn looks up unknown names. If the database is unreachable, the events, which have been read already, are shown
// without their names.
func (l *eventLines) learn(ctx context.Context, n eventsNeeds, list []eventstore.TailedEvent) error {
	var unknown []events.Event
	for _, e := range list {
		if l.names[e.PipelineExecutionID] == "" || !e.TaskExecutionID.IsZero() && l.names[e.TaskExecutionID] == "" {
			unknown = append(unknown, e.Event)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	if len(l.names) > maxNames {
		clear(l.names)
		for _, e := range list {
			unknown = append(unknown, e.Event)
		}
	}
	found, err := n.names(ctx, unknown)
	if err != nil && !errors.Is(err, db.ErrUnavailable) {
		return err
	}
	for id, name := range found {
		l.names[id] = name
	}
	return nil
}

func (l *eventLines) line(row []string) error {
	widths := columnWidths
	if l.many {
		widths = append([]int{36, 16}, widths...)
	}
	var b strings.Builder
	for i, cell := range row {
		b.WriteString(text.Pad(terminal.Inline(cell), widths[i], ' '))
		b.WriteString("  ")
	}
	_, err := fmt.Fprintln(l.to, strings.TrimRight(b.String(), " "))
	if err != nil {
		return fmt.Errorf("write the events: %w", err)
	}
	return nil
}
