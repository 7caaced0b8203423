package app

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// eventData is what the data of any event may hold (docs/events.md).
type eventData struct {
	TaskName     string         `json:"id"`
	PipelineName string         `json:"pipeline"`
	TaskCount    int            `json:"task_count"`
	Dependencies []string       `json:"needs"`
	Continues    bool           `json:"continue_on_error"`
	Attempt      int            `json:"attempt"`
	Error        string         `json:"error"`
	ErrorKind    string         `json:"error_kind"`
	ExitCode     *int           `json:"exit_code"`
	DelayMS      int64          `json:"delay_ms"`
	DurationMS   int64          `json:"duration_ms"`
	DeferredFor  int64          `json:"deferred_for"`
	RetryAt      dbtype.Time    `json:"retry_at"`
	ResumeAt     dbtype.Time    `json:"resume_at"`
	Reason       string         `json:"reason"`
	Detail       string         `json:"detail"`
	Cause        string         `json:"cause"`
	Worker       string         `json:"worker"`
	Tasks        []string       `json:"tasks"`
	Counts       map[string]int `json:"counts"`
}

func dataOf(e events.Event) (eventData, error) {
	var d eventData
	if e.EventType == events.Annotation {
		return d, nil // its writer chose the data
	}
	if err := json.Unmarshal(e.EventData, &d); err != nil {
		return d, fmt.Errorf("event %d: read its data: %w", e.SequenceNum, err)
	}
	return d, nil
}

// eventText is an event in words: what happened, brief circumstances, and a text of the event, such as an error.
type eventText struct {
	what, how, text string
}

func (s eventText) String() string {
	line := s.what
	if s.how != "" {
		line += " (" + s.how + ")"
	}
	if s.text != "" {
		line += ": " + s.text
	}
	return line
}

// brief returns the story on one line.
func (s eventText) brief() string {
	s.text = errorLine(s.text, 100)
	return s.String()
}

// describeEvent describes an event in words.
func describeEvent(e events.Event) (eventText, error) {
	d, err := dataOf(e)
	if err != nil {
		return eventText{}, err
	}
	attempt := fmt.Sprintf("attempt %d", d.Attempt)
	took := attempt + ", " + span(msec(d.DurationMS))
	switch e.EventType {
	case events.TaskCreated:
		if len(d.Dependencies) == 0 {
			return eventText{what: "created"}, nil
		}
		return eventText{what: "created", how: "needs " + strings.Join(d.Dependencies, ", ")}, nil
	case events.TaskMarkedReady:
		return eventText{what: "ready"}, nil
	case events.TaskClaimed:
		return eventText{what: "claimed", how: attempt}, nil
	case events.TaskResumed:
		return eventText{what: "resumed", how: "after " + span(msec(d.DeferredFor))}, nil
	case events.TaskStarted:
		return eventText{what: "started", how: attempt}, nil
	case events.TaskDeferred:
		return eventText{what: "deferred until " + moment(d.ResumeAt), text: d.Reason}, nil
	case events.TaskCompleted:
		return eventText{what: "completed", how: took}, nil
	case events.TaskRetryScheduled:
		return eventText{what: "failed, again in " + span(msec(d.DelayMS)), how: attempt, text: d.Error}, nil
	case events.TaskFailed:
		return eventText{what: "failed", how: took, text: d.Error}, nil
	case events.TaskSkipped:
		if d.Reason == string(tasks.SkipExitCode) && d.ExitCode != nil {
			return eventText{what: "skipped", how: took, text: fmt.Sprintf("exit code %d", *d.ExitCode)}, nil
		}
		return eventText{what: "skipped", text: d.Detail}, nil
	case events.TaskReset:
		return describeReset(d), nil
	case events.TaskAbandoned:
		return eventText{what: "abandoned", text: d.Reason}, nil
	case events.TaskCancelled:
		return eventText{what: "cancelled", text: d.Reason}, nil
	case events.Annotation:
		return eventText{what: "annotated", text: string(e.EventData)}, nil
	}
	return describePipelineEvent(e, d), nil
}

func describeReset(d eventData) eventText {
	switch {
	case d.Cause == tasks.CauseLeaseExpired:
		return eventText{what: "taken back", text: "its worker " + d.Worker + " was lost"}
	case d.Worker != "":
		return eventText{what: "given back", text: d.Reason}
	}
	return eventText{what: "reopened"}
}

func describePipelineEvent(e events.Event, d eventData) eventText {
	took := span(msec(d.DurationMS))
	s := eventText{text: d.Reason}
	switch e.EventType {
	case events.PipelineStarted:
		s = eventText{what: "started", how: counted(int64(d.TaskCount), "task")}
	case events.PipelineCompleted:
		s = eventText{what: "completed", how: took}
	case events.PipelineFailed:
		s = eventText{what: "failed", how: took, text: d.Error}
	case events.PipelineRestarted:
		s = eventText{what: "restarted", how: strings.Join(d.Tasks, ", ")}
	default:
		s.what = strings.TrimPrefix(string(e.EventType), "pipeline_")
	}
	return s
}
