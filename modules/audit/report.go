package audit

import (
	"fmt"
	"strings"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// The names of breaches are the invariants, Seal, Definition, and Data for values that cannot be read and rows that
// belong to nothing.
const (
	I1   = "I1"   // complete: versions 1..n, one event each
	I2   = "I2"   // faithful: the fold of the events is the row
	I3   = "I3"   // legal: each step is in the transition table and its guard held
	I4   = "I4"   // claimable: an outbox row if and only if Ready in a Running pipeline
	I5   = "I5"   // fenced: only the holder of the claim wrote
	I6   = "I6"   // settled: a pipeline has ended if and only if all its tasks have
	I7   = "I7"   // counted: the counters equal the numbers of rows
	Seal = "seal" // the execution is unchanged since it was sealed
	Data = "data"

	Definition = "definition" // the version of a stored definition is the hash of its content
)

// EventRef refers to an event of the history.
type EventRef struct {
	SequenceNum int64       `json:"sequence_num"`
	EventType   events.Type `json:"event_type"`
	Version     *int64      `json:"version"`
	CreatedAt   dbtype.Time `json:"created_at"`
	Here        bool        `json:"here,omitempty"` // whether the breach is about this event
}

// Violation is one violation of an invariant. Ids that do not apply are null.
type Violation struct {
	Invariant           string     `json:"invariant"` // I1 to I7, seal, definition, or data
	PipelineExecutionID dbtype.ID  `json:"pipeline_execution_id"`
	TaskExecutionID     dbtype.ID  `json:"task_execution_id"`
	TaskName            string     `json:"id"`
	Found               string     `json:"found"`
	Expected            string     `json:"expected"`
	Events              []EventRef `json:"events"` // those around it, oldest first
}

// Report says what a verification checked and what it found.
type Report struct {
	Executions  int `json:"executions"`
	Tasks       int `json:"tasks"`
	Events      int `json:"events"`
	OutboxRows  int `json:"outbox_rows"`
	Definitions int `json:"definitions"`
	// Retained counts pipelines of which only the rows could be checked, because retention removed their events.
	Retained  int `json:"retained"`
	Seals     int `json:"seals"`           // pipelines with a seal
	NoOutputs int `json:"outputs_removed"` // pipelines whose outputs retention has removed

	SealedHistories int `json:"sealed_histories"` // pipelines whose events were compared with their seal
	// SealedContents counts pipelines whose input, outputs, definition, idempotency key and labels were compared with a
	// seal of form 2.
	SealedContents int `json:"sealed_contents"`

	Total     int                `json:"-"`         // number of executions to check; counted for Options.Progress
	Truncated bool               `json:"truncated"` // Options.MaxViolations was reached: there may be more
	Breaches  []Violation        `json:"breaches"`
	Unheld    []UnclaimedRunning `json:"unheld"` // running tasks that no live worker holds; these are not breaches

	Covers       []string `json:"covers"`         // what was checked
	DoesNotCover []string `json:"does_not_cover"` // what may have been changed without a breach
}

// scope sets what a verification with the given options can and cannot find.
func (r *Report) scope(o Options) {
	r.Covers = []string{
		"status, attempts, times, errors, handler, queue and priority of each row, against its history",
		"the order of each history by version and by sequence_num, and its transitions",
		"counters, outbox rows and trigger rules",
		"the hash of each stored definition that was read",
	}
	r.DoesNotCover = []string{
		"logs", "annotations written after an end, or in a history without a seal",
		"deadlines, run directories, and which version of a pipeline is the registered one",
	}
	if n := r.SealedHistories; n > 0 {
		r.Covers = append(r.Covers, "each event of "+plural(n, "execution")+" with a seal")
	}
	if n := r.SealedContents; n > 0 {
		r.Covers = append(r.Covers,
			"input, outputs, definition, idempotency key and labels of "+plural(n, "execution")+
				" with a seal of form 2")
	}
	if n := r.Executions - r.SealedContents; n > 0 {
		r.DoesNotCover = append(r.DoesNotCover,
			"input, outputs, idempotency key and labels of "+plural(n, "execution")+
				" without a seal of form 2 of its present end")
	}
	if n := r.Executions - r.SealedHistories - r.Retained; n > 0 {
		r.DoesNotCover = append(r.DoesNotCover,
			"what events say and no row holds, such as actors and exit codes, of "+plural(n, "execution")+
				" without a seal")
	}
	if r.NoOutputs > 0 {
		r.DoesNotCover = append(r.DoesNotCover,
			"who removed outputs: an execution whose outputs_removed_at is set may lack them")
	}
	if r.Retained > 0 {
		r.DoesNotCover = append(r.DoesNotCover, "histories that retention has removed")
	}
	switch {
	case len(o.IDs) > 0:
		r.DoesNotCover = append(r.DoesNotCover, "other executions, and rows that belong to none")
	case !o.Since.IsZero():
		r.DoesNotCover = append(r.DoesNotCover, "executions that ended before "+o.Since.Format(dbtype.TimeFormat)+
			", and rows that belong to none")
	}
}

// OK reports whether no breach was found.
func (r Report) OK() bool { return len(r.Breaches) == 0 }

// Summary returns one line with what was checked and the number of breaches.
func (r Report) Summary() string {
	s := fmt.Sprintf("checked %s, %s, %s, %s", plural(r.Executions, "pipeline execution"), plural(r.Tasks, "task"),
		plural(r.Events, "event"), plural(r.OutboxRows, "outbox row"))
	if r.Definitions > 0 {
		s += ", " + plural(r.Definitions, "definition")
	}
	if r.Seals > 0 {
		s += ", " + plural(r.Seals, "seal")
	}
	if r.Retained > 0 {
		s += fmt.Sprintf(" (%s with a retained summary alone: retention has removed the events)",
			plural(r.Retained, "execution"))
	}
	if r.NoOutputs > 0 {
		s += fmt.Sprintf(" (%s without outputs: retention has removed them)", plural(r.NoOutputs, "execution"))
	}
	if len(r.Unheld) > 0 {
		s += fmt.Sprintf(" (%s without a live worker)", plural(len(r.Unheld), "running task"))
	}
	switch {
	case r.Truncated:
		return s + fmt.Sprintf(": stopped after %s", plural(len(r.Breaches), "breach"))
	case r.OK():
		return s + ": no breach"
	}
	return s + ": " + plural(len(r.Breaches), "breach")
}

// String returns the report for people: a paragraph for each breach and for each unheld task, the summary, and the
// scope.
func (r Report) String() string {
	var b strings.Builder
	for _, x := range r.Breaches {
		b.WriteString(x.String())
		b.WriteByte('\n')
	}
	for _, x := range r.Unheld {
		b.WriteString(x.String())
		b.WriteByte('\n')
	}
	b.WriteString(r.Summary())
	b.WriteByte('\n')
	for _, part := range []struct {
		title string
		lines []string
	}{{"covers:        ", r.Covers}, {"does not cover:", r.DoesNotCover}} {
		if len(part.lines) > 0 {
			b.WriteString("  " + part.title + " " + strings.Join(part.lines, "; ") + "\n")
		}
	}
	return b.String()
}

// String returns one paragraph: the place, the invariant, what was found and expected, the events around it, and a
// hint.
func (x Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", x.Invariant, meaning[x.Invariant].name)
	if !x.PipelineExecutionID.IsZero() {
		fmt.Fprintf(&b, " · pipeline execution %s", x.PipelineExecutionID)
	}
	if x.TaskName != "" {
		fmt.Fprintf(&b, " · task %s", x.TaskName)
	}
	if !x.TaskExecutionID.IsZero() {
		fmt.Fprintf(&b, " (%s)", x.TaskExecutionID)
	}
	fmt.Fprintf(&b, "\n  found:    %s\n  expected: %s\n", x.Found, x.Expected)
	for i, e := range x.Events {
		label := "          "
		if i == 0 {
			label = "  events: "
		}
		mark := " "
		if e.Here {
			mark = ">"
		}
		fmt.Fprintf(&b, "%s%s #%d %s %s version %s\n", label, mark, e.SequenceNum, e.CreatedAt.UTC().
			Format(dbtype.TimeFormat), e.EventType, versionText(e.Version))
	}
	fmt.Fprintf(&b, "  hint:     %s\n", meaning[x.Invariant].hint)
	return b.String()
}

// meaning is the name of each invariant, and the usual cause of its breach.
var meaning = map[string]struct{ name, hint string }{
	I1: {"complete", "a status was changed without its event, or events were added or removed by hand"},
	I2: {
		"faithful",
		"the row was changed by something else than a transition, or the event was changed after it was written",
	},
	I3: {"legal", "something wrote an event, or changed one, outside the transition table"},
	I4: {
		"claimable",
		"the outbox was changed outside a transition; without its row a Ready task waits for ever, with a stray one " +
			"it may run when it must not",
	},
	I5: {"fenced", "a worker wrote after it had lost its claim, or the event was changed after it was written"},
	I6: {
		"settled",
		"the end of a task and the end of its pipeline were not one transaction, or a status was changed by hand",
	},
	I7:   {"counted", "a counter was changed outside a transition, or rows were added or removed by hand"},
	Seal: {"sealed", "something was changed by hand after the execution had ended, or the seal itself was"},
	Definition: {
		"definitions",
		"the stored definition was changed by hand, or the file it was imported from was: runs that are pinned to it " +
			"are abandoned",
	},
	Data: {
		"unreadable or astray",
		"rows were changed, added or removed by hand, or the database is damaged: compare with a backup",
	},
}

func versionText(v *int64) string {
	if v == nil {
		return "null"
	}
	return fmt.Sprint(*v)
}

func plural(n int, noun string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "ch"):
		noun += "es"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
