package pipelines

import (
	"encoding/json"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// The data of the pipelines' own events (docs/events.md). A key whose comment does not say that it may be absent is
// always there.
type (
	// StartedData is the data of pipeline_started.
	StartedData struct {
		PipelineName      string `json:"pipeline"`
		DefinitionVersion string `json:"definition_version"`
		TaskCount         int    `json:"task_count"`
	}

	// EndedData is the data of pipeline_completed and pipeline_failed.
	EndedData struct {
		Counts     map[tasks.Status]int `json:"counts"`          // tasks by status, without those that are 0
		DurationMS int64                `json:"duration_ms"`     // milliseconds since the execution was created
		Error      string               `json:"error,omitempty"` // of the first failed task; not in pipeline_completed
	}

	// ReasonData is the data of pipeline_paused and pipeline_cancelled. The event's Actor is who asked.
	ReasonData struct {
		Reason string `json:"reason"` // may be empty
	}

	// ResumedData is the data of pipeline_resumed. It has no keys.
	ResumedData struct{}

	// RestartedData is the data of pipeline_restarted.
	RestartedData struct {
		Tasks []string `json:"tasks"`          // the names of the tasks that run again
		From  string   `json:"from,omitempty"` // the task from which they do; absent: the unsuccessful ones
	}
)

// DecodeEvent decodes the data of an event of the given type. It returns a value of the type above that belongs to the
// event, such as StartedData, or nil if the type is not an event of a pipeline. It does not check that all keys are
// there.
func DecodeEvent(t events.Type, data []byte) (any, error) {
	switch t {
	case events.PipelineStarted:
		return decode[StartedData](data)
	case events.PipelineCompleted, events.PipelineFailed:
		return decode[EndedData](data)
	case events.PipelinePaused, events.PipelineCancelled:
		return decode[ReasonData](data)
	case events.PipelineResumed:
		return decode[ResumedData](data)
	case events.PipelineRestarted:
		return decode[RestartedData](data)
	}
	return nil, nil
}

func decode[D any](data []byte) (any, error) {
	var d D
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	return d, nil
}
