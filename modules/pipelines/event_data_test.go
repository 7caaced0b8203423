package pipelines_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// TestEventData checks the JSON of each event's data byte by byte, and that DecodeEvent reads it back.
func TestEventData(t *testing.T) {
	t.Parallel()
	counts := map[tasks.Status]int{tasks.Completed: 2, tasks.Failed: 1}
	seen := map[events.Type]bool{}
	for _, c := range []struct {
		event events.Type
		data  any
		want  string
	}{
		{
			events.PipelineStarted,
			pipelines.StartedData{PipelineName: "p", DefinitionVersion: "v", TaskCount: 3},
			`{"pipeline":"p","definition_version":"v","task_count":3}`,
		},
		{
			events.PipelineCompleted,
			pipelines.EndedData{Counts: counts, DurationMS: 20},
			`{"counts":{"Completed":2,"Failed":1},"duration_ms":20}`,
		},
		{
			events.PipelineFailed,
			pipelines.EndedData{Counts: counts, DurationMS: 20, Error: "no"},
			`{"counts":{"Completed":2,"Failed":1},"duration_ms":20,"error":"no"}`,
		},
		{events.PipelinePaused, pipelines.ReasonData{}, `{"reason":""}`},
		{events.PipelineResumed, pipelines.ResumedData{}, `{}`},
		{events.PipelineCancelled, pipelines.ReasonData{Reason: "enough"}, `{"reason":"enough"}`},
		{events.PipelineRestarted, pipelines.RestartedData{Tasks: []string{"a"}}, `{"tasks":["a"]}`},
		{
			events.PipelineRestarted,
			pipelines.RestartedData{Tasks: []string{"a"}, From: "a"},
			`{"tasks":["a"],"from":"a"}`,
		},
	} {
		seen[c.event] = true
		got, err := json.Marshal(c.data)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.event, got, err, c.want)
		}
		back, err := pipelines.DecodeEvent(c.event, []byte(c.want))
		if diff := cmp.Diff(c.data, back); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", c.event, err, diff)
		}
		if back, err := pipelines.DecodeEvent(c.event, []byte(`[]`)); err == nil {
			t.Errorf("%s: a list is decoded as %+v", c.event, back)
		}
	}
	for _, e := range events.Types() {
		if d, err := pipelines.DecodeEvent(e, []byte(`{}`)); (d != nil) != seen[e] || err != nil {
			t.Errorf("%s: %T, %v", e, d, err)
		}
	}
}
