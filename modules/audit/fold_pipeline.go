package audit

import (
	"fmt"
	"slices"

	"github.com/sluiceworks/sluice/modules/events"
)

// pipelineStatus is the status of a pipeline execution. The package that writes it has its own names for the same
// values.
type pipelineStatus string

const (
	running   pipelineStatus = "Running"
	paused    pipelineStatus = "Paused"
	completed pipelineStatus = "Completed"
	failed    pipelineStatus = "Failed"
	cancelled pipelineStatus = "Cancelled"
)

func (s pipelineStatus) open() bool { return s == running || s == paused }

func (s pipelineStatus) terminal() bool { return s == completed || s == failed || s == cancelled }

// pipelineTable is the state machine of pipelines in docs/events.md. It intentionally repeats the engine's table.
var pipelineTable = map[events.Type]struct {
	from []pipelineStatus
	to   pipelineStatus
}{
	events.PipelineStarted:   {[]pipelineStatus{""}, running},
	events.PipelineCompleted: {[]pipelineStatus{running, paused}, completed},
	events.PipelineFailed:    {[]pipelineStatus{running, paused}, failed},
	events.PipelinePaused:    {[]pipelineStatus{running}, paused},
	events.PipelineResumed:   {[]pipelineStatus{paused}, running},
	events.PipelineCancelled: {[]pipelineStatus{running, paused}, cancelled},
	events.PipelineRestarted: {[]pipelineStatus{completed, failed, cancelled}, running},
}

// pipelineFold is a pipeline execution as its own events describe it.
type pipelineFold struct {
	status           pipelineStatus
	name, definition string
	err              string
	taskCount        int64
	attempt          int64
	counts           map[string]int64 // tasks by status at its last end; nil if the event has none
	created, ended   number           // microseconds since 1970
	pausedAt         number
}

func (f *pipelineFold) apply(e *event) *problem {
	d, p := decode(e.typ, e.data)
	if p != nil {
		return p
	}
	t, ok := pipelineTable[e.typ]
	if !ok || !slices.Contains(t.from, f.status) {
		return &problem{
			I3, fmt.Sprintf("%s of a pipeline that is %s", e.typ, orNothing(string(f.status))),
			"a transition of the table",
		}
	}
	f.status, f.pausedAt, f.ended, f.counts = t.to, number{}, number{}, nil
	if t.to.terminal() {
		f.ended = e.at
	}
	switch e.typ {
	case events.PipelineStarted:
		f.name, f.definition, f.taskCount, f.created = *d.PipelineName, *d.DefinitionVersion, *d.TaskCount, e.at
		f.attempt = 1
	case events.PipelineCompleted:
		f.counts = d.Counts
	case events.PipelineFailed:
		f.counts, f.err = d.Counts, *d.Error
	case events.PipelinePaused:
		f.pausedAt = e.at
	case events.PipelineRestarted:
		f.err = ""
		f.attempt++
	}
	return nil
}
