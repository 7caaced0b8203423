package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const (
	ordersPerPage   = 500 // ids that are looked up in one query
	shownRefusals   = 10
	maxRefusals     = 1000 // in JSON
	shownExecutions = 20   // by a dry run
)

// manyDocument is the result of a command for several executions.
type manyDocument struct {
	Matched     int64     `json:"matched"`
	Done        int64     `json:"done"`
	NotPossible []refusal `json:"not_possible"` // the first thousand
	Refused     int64     `json:"refused"`      // how many were not possible
	DryRun      bool      `json:"dry_run"`

	missing bool // all refusals are of executions that do not exist
}

// refusal is an execution for which the command was not possible.
type refusal struct {
	ID     dbtype.ID `json:"id"`
	Reason string    `json:"reason"`
}

// many is a command for several executions while it runs.
type many struct {
	cli   *cli
	needs controlNeeds
	order control
	flags controlFlags
	doc   manyDocument
	bar   *bar
}

// controlIDs applies the command to executions that were given by id.
func (c *cli) controlIDs(ctx context.Context, n controlNeeds, o control, f controlFlags, ids []dbtype.ID) error {
	m := &many{
		cli: c, needs: n, order: o, flags: f, doc: manyDocument{Matched: int64(len(ids)), DryRun: f.dryRun},
		bar: newBar(c.stderr, n.DB.Now),
	}
	if f.dryRun {
		list, err := n.Executions.Find(ctx, ids)
		if err != nil {
			return err
		}
		return m.dry(ctx, ids, list)
	}
	fmt.Fprintf(c.stderr, "%s %s\n", o.verb, counted(m.doc.Matched, "execution"))
	err := m.give(ctx, ids)
	return m.report(ctx, err)
}

// controlFilter applies the command to all executions that a filter selects.
func (c *cli) controlFilter(ctx context.Context, n controlNeeds, o control, f controlFlags) error {
	filter, err := f.filter.filter(n.DB.Now())
	if err != nil {
		return err
	}
	if len(filter.Statuses) == 0 {
		filter.Statuses = o.possible
	}
	m := &many{
		cli: c, needs: n, order: o, flags: f, doc: manyDocument{DryRun: f.dryRun},
		bar: newBar(c.stderr, n.DB.Now),
	}
	if m.doc.Matched, err = n.Executions.Count(ctx, filter); err != nil {
		return err
	}
	filter.Limit = ordersPerPage
	if f.dryRun {
		filter.Limit = shownExecutions
		ids, err := n.Executions.IDs(ctx, filter)
		if err != nil {
			return err
		}
		list, err := n.Executions.Find(ctx, ids)
		if err != nil {
			return err
		}
		return m.dry(ctx, ids, list)
	}
	fmt.Fprintf(c.stderr, "%s %s\n", o.verb, counted(m.doc.Matched, "execution"))
	if m.doc.Matched > 0 {
		if err := c.confirm(f.yes, o.verb+
			" by a filter", "", "--yes does it without asking; --dry-run shows which they are"); err != nil {
			return err
		}
	}
	return m.report(ctx, m.pages(ctx, filter))
}

// pages processes what the filter selects, newest first. It does not include executions that are started meanwhile.
func (m *many) pages(ctx context.Context, f engine.Filter) error {
	for m.doc.Matched > 0 {
		ids, err := m.needs.Executions.IDs(ctx, f)
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := m.give(ctx, ids); err != nil {
			return err
		}
		f.Before = ids[len(ids)-1]
	}
	return nil
}

// give applies the command to executions, set by set.
func (m *many) give(ctx context.Context, ids []dbtype.ID) error {
	for len(ids) > 0 {
		results, err := m.order.give(ctx, m.needs.Engine,
			engine.Orders{IDs: ids, Reason: m.flags.reason, Actor: actor()})
		if err != nil {
			return err
		}
		for i, r := range results {
			if r == nil {
				m.doc.Done++
				continue
			}
			m.doc.missing = errors.Is(r, pipelines.ErrExecutionNotFound) && (m.doc.missing || m.doc.Refused == 0)
			if m.doc.Refused++; m.doc.Refused <= maxRefusals {
				m.doc.NotPossible = append(m.doc.NotPossible, refusal{ids[i], r.Error()})
			}
		}
		ids = ids[len(results):]
		m.bar.show(int(m.doc.Done+m.doc.Refused), int(m.doc.Matched), m.order.past+" "+counted(m.doc.Done, "execution"))
	}
	return nil
}

// confirm asks for confirmation. Without a terminal, --yes is required.
func (c *cli) confirm(yes bool, what, question, hint string) error {
	if yes {
		return nil
	}
	in, ok := c.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) || !c.stderr.IsTerminal() {
		return withHint(usagef("%s asks for confirmation, and standard input is not a terminal", what), hint)
	}
	if question != "" {
		fmt.Fprintln(c.stderr, question)
	}
	fmt.Fprintf(c.stderr, "go on? [y/N] ")
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil || !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
		fmt.Fprintln(c.stderr, "nothing was done")
		return exitStatus(exitInterrupted)
	}
	return nil
}

// dry shows the executions that the command would apply to.
func (m *many) dry(ctx context.Context, ids []dbtype.ID, found map[dbtype.ID]pipelines.Execution) error {
	if *m.flags.format == formatJSON {
		return m.print()
	}
	var list []pipelines.Execution
	for _, id := range ids[:min(len(ids), shownExecutions)] {
		if x, ok := found[id]; ok {
			list = append(list, x)
		}
	}
	starts, err := m.needs.Executions.Starts(ctx, list)
	if err != nil {
		return err
	}
	m.cli.printExecutions(list, starts, m.needs.DB.Now(), true)
	if left := m.doc.Matched - int64(len(list)); left > 0 {
		fmt.Fprintf(m.cli.stdout, "and %d more\n", left)
	}
	fmt.Fprintf(m.cli.stderr, "would %s %s; nothing was done\n", m.order.verb, counted(m.doc.Matched, "execution"))
	return nil
}

func (m *many) print() error {
	if m.doc.NotPossible == nil {
		m.doc.NotPossible = []refusal{}
	}
	return printJSON(m.cli.stdout, m.doc)
}

// report prints the result and what was not possible. err is the error that ended the command early.
func (m *many) report(ctx context.Context, err error) error {
	m.bar.clear()
	if *m.flags.format == formatJSON {
		err = errors.Join(err, m.print())
	} else {
		fmt.Fprintf(m.cli.stdout, "%s %s\n", m.order.past, counted(m.doc.Done, "execution"))
		for _, r := range m.doc.NotPossible[:min(len(m.doc.NotPossible), shownRefusals)] {
			fmt.Fprintf(m.cli.stdout, "  %s: %s\n", r.ID, r.Reason)
		}
		if left := m.doc.Refused - shownRefusals; left > 0 {
			fmt.Fprintf(m.cli.stdout, "  and %d more were not possible\n", left)
		}
	}
	switch {
	case ctx.Err() != nil || err != nil:
		if left := m.doc.Matched - m.doc.Done - m.doc.Refused; left > 0 {
			fmt.Fprintf(m.cli.stderr, "%d are left; the same command goes on\n", left)
		}
		return err
	case m.doc.Refused > 0 && m.doc.missing:
		return exitStatus(exitNotFound)
	case m.doc.Refused > 0:
		return exitStatus(exitState)
	}
	return nil
}
