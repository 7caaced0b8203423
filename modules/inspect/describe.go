package inspect

import (
	"fmt"
	"strings"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// Description is an event in words.
type Description struct {
	What string // what happened, such as "completed"; never empty
	How  string // the circumstances in brief, such as "attempt 1, 2.0s"; empty if there are none
	Text string // a text that the event has, such as an error, possibly of many lines; empty if it has none
}

// String returns the whole description.
func (d Description) String() string {
	line := d.What
	if d.How != "" {
		line += " (" + d.How + ")"
	}
	if d.Text != "" {
		line += ": " + d.Text
	}
	return line
}

// Brief returns the description on one line, with at most 100 characters of its text.
func (d Description) Brief() string {
	d.Text = ErrorLine(d.Text, 100)
	return d.String()
}

// Describe describes an event in words. It returns an error if the data of the event cannot be decoded.
func Describe(e events.Event) (Description, error) {
	if e.EventType == events.Annotation {
		return Description{What: "annotated", Text: string(e.EventData)}, nil // its writer chose the data
	}
	data, err := tasks.DecodeEvent(e.EventType, e.EventData)
	if data == nil && err == nil {
		data, err = pipelines.DecodeEvent(e.EventType, e.EventData)
	}
	if err != nil {
		return Description{}, fmt.Errorf("event %d: read its data: %w", e.SequenceNum, err)
	}
	if d, ok := describeTask(data); ok {
		return d, nil
	}
	return describeEnd(e.EventType, data), nil
}

// describeTask describes the events of a task, apart from those that describeEnd describes.
func describeTask(data any) (d Description, ok bool) {
	attempt := func(n int) string { return fmt.Sprintf("attempt %d", n) }
	took := func(n int, ms int64) string { return attempt(n) + ", " + spanMS(ms) }
	switch e := data.(type) {
	case tasks.CreatedData:
		d.What = "created"
		if names := e.Dependencies.Names(); len(names) > 0 {
			d.How = "needs " + strings.Join(names, ", ")
		}
	case tasks.ReadyData:
		d.What = "ready"
	case tasks.ClaimedData:
		d.What, d.How = "claimed", attempt(e.Attempt)
	case tasks.ResumedData:
		d.What, d.How = "resumed", "after "+spanMS(e.DeferredFor)
	case tasks.StartedData:
		d.What, d.How = "started", attempt(e.Attempt)
	case tasks.DeferredData:
		d.What, d.Text = "deferred until "+Moment(e.ResumeAt), e.Reason
	case tasks.CompletedData:
		d.What, d.How = "completed", took(e.Attempt, e.DurationMS)
	case tasks.RetryScheduledData:
		d = Description{"failed, again in " + spanMS(e.DelayMS), attempt(e.Attempt), e.Error}
	case tasks.FailedData:
		d = Description{"failed", took(e.Attempt, e.DurationMS), e.Error}
	case tasks.SkippedRunningData:
		d = Description{"skipped", took(e.Attempt, e.DurationMS), "exit code " + string(e.ExitCode)}
	case tasks.SkippedData:
		d.What, d.Text = "skipped", e.Detail
	case tasks.ResetData:
		d = describeReset(e)
	default:
		return d, false
	}
	return d, true
}

func describeReset(e tasks.ResetData) Description {
	switch {
	case e.Cause == tasks.CauseLeaseExpired:
		return Description{What: "taken back", Text: "its worker " + string(e.Worker) + " was lost"}
	case e.Worker != "":
		return Description{What: "given back", Text: e.Reason}
	}
	return Description{What: "reopened"}
}

// describeEnd describes the events of pipelines, and those that end a task without a result.
func describeEnd(t events.Type, data any) Description {
	d := Description{What: strings.TrimPrefix(strings.TrimPrefix(string(t), "pipeline_"), "task_")}
	switch e := data.(type) {
	case tasks.EndedData:
		d.Text = e.Reason
	case pipelines.StartedData:
		d.How = Counted(int64(e.TaskCount), "task")
	case pipelines.EndedData:
		d.How, d.Text = spanMS(e.DurationMS), e.Error
	case pipelines.RestartedData:
		d.How = strings.Join(e.Tasks, ", ")
	case pipelines.ReasonData:
		d.Text = e.Reason
	}
	return d
}

// EndedAttempt returns the number of the attempt that an event ends, or 0 if the event does not name it.
func EndedAttempt(e events.Event) int {
	data, err := tasks.DecodeEvent(e.EventType, e.EventData)
	if err != nil {
		return 0
	}
	switch d := data.(type) {
	case tasks.CompletedData:
		return d.Attempt
	case tasks.FailedData:
		return d.Attempt
	case tasks.RetryScheduledData:
		return d.Attempt
	case tasks.DeferredData:
		return d.Attempt
	case tasks.SkippedRunningData:
		return d.Attempt
	}
	return 0
}
