package app

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// pastFlags select a moment in an execution's past.
type pastFlags struct {
	at    string
	event int
}

func (f *pastFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.at, "at", "",
		"as it was at the end of `TIME`: 2026-11-21T08:00:00Z is all of that second; or a duration such as 90s "+
			"or 7d ago")
	cmd.Flags().Var(&count{&f.event, 1}, "at-event",
		"as it was when the event of sequence_num `N` had just been committed")
}

func (f pastFlags) given() bool { return f.at != "" || f.event != 0 }

func (f pastFlags) check() error {
	if f.at != "" && f.event != 0 {
		return usagef("--at and --at-event name two moments: give one of them")
	}
	return nil
}

// pastMoment is the moment of the past that a document shows.
type pastMoment struct {
	Time        dbtype.Time         `json:"time"`         // as requested; for --at-event, when it was written
	SequenceNum int64               `json:"sequence_num"` // of the last event that had been committed
	Events      int                 `json:"events"`       // how many had been committed
	TotalEvents int                 `json:"total_events"` // how many there are now
	Outbox      []history.Claimable `json:"outbox"`       // what workers could claim, or could from available_at on
}

// String returns the moment as text for people.
func (m *pastMoment) String() string {
	return fmt.Sprintf("%s, after event %d (%d of %d)", momentMS(m.Time.Time), m.SequenceNum, m.Events, m.TotalEvents)
}

// claimable lists the tasks that had an outbox row, and when they could be claimed.
func (m *pastMoment) claimable() string {
	const most = 10
	if len(m.Outbox) == 0 {
		return "nothing"
	}
	var words []string
	for _, row := range m.Outbox {
		word := row.TaskName
		if row.AvailableAt.After(m.Time.Time) {
			word += " (in " + span(row.AvailableAt.Sub(m.Time.Time)) + ")"
		}
		words = append(words, word)
		if left := len(m.Outbox) - len(words); len(words) == most && left > 0 {
			words = append(words, fmt.Sprintf("and %d more", left))
			break
		}
	}
	return strings.Join(words, ", ")
}

// travel changes the document to a moment of the past: its rows are computed from the events up to then. It returns
// what those events say.
func (doc *showDocument) travel(list []events.Event, f pastFlags) (*history.Past, error) {
	x := doc.Execution
	if x.EventsRemoved > 0 {
		return nil, withHint(usagef("retention has removed the history of %s (%s): its past is not known any more",
			x.ID, counted(x.EventsRemoved, "event")),
			"`sluice show "+x.ID.String()+"` shows how it ended")
	}
	whole, err := history.New(list)
	if err != nil {
		return nil, err
	}
	log, at, err := f.cut(whole, doc.now)
	if err != nil {
		return nil, pastHint(err, x.ID, x.CreatedAt)
	}
	past := log.Fold()
	state, err := past.State()
	if err != nil {
		return nil, err
	}
	state.Complete(x, doc.Tasks)
	last, number := log.Last()
	if last.After(at.Time) {
		at = last // a transaction that had begun by then had to wait
	}
	doc.Execution, doc.Tasks, doc.now = state.Execution, state.Tasks, at.Time
	doc.At = &pastMoment{
		Time: at, SequenceNum: number, Events: len(log.Events()), TotalEvents: len(list),
		Outbox: state.Outbox,
	}
	return past, nil
}

// cut finds the moment.
func (f pastFlags) cut(whole *history.Log, now time.Time) (log *history.Log, at dbtype.Time, err error) {
	if f.event != 0 {
		if log, err = whole.AtEvent(int64(f.event)); err == nil {
			at, _ = log.Last()
		}
		return log, at, err
	}
	if at, err = parseInstant("--at", f.at, now); err != nil {
		return nil, at, err
	}
	if at.After(now) {
		return nil, at, withHint(usagef("--at: %s is in the future", moment(at)), "by the database's clock it is "+
			moment(dbtype.NewTime(now)))
	}
	if at = dbtype.NewTime(endOf(f.at, at.Time)); at.After(now) {
		at = dbtype.NewTime(now)
	}
	log, err = whole.At(at)
	return log, at, err
}

// pastHint adds what can be asked for instead.
func pastHint(err error, id dbtype.ID, created dbtype.Time) error {
	switch {
	case errors.Is(err, history.ErrBefore):
		return withHint(err, "it was started at "+created.Format(dbtype.TimeFormat))
	case errors.Is(err, history.ErrNoEvent):
		return withHint(err, "`sluice events --pipeline-execution "+id.String()+" -o json` shows the numbers")
	}
	return err
}
