package audit

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
)

// eventData has every key of event data that a fold needs or that must be present (docs/events.md). Nil means absent
// or null. It intentionally repeats what packages tasks and pipelines declare, and uses neither their types nor their
// DecodeEvent: otherwise a fault there would be in the verification as well as in what it verifies.
type eventData struct {
	Attempt           *int64           `json:"attempt"`
	AvailableAt       *string          `json:"available_at"`
	Cause             *string          `json:"cause"`
	ContinueOnError   bool             `json:"continue_on_error"`
	Counts            map[string]int64 `json:"counts"`
	DeferredFor       *int64           `json:"deferred_for"`
	DefinitionVersion *string          `json:"definition_version"`
	DelayMS           *int64           `json:"delay_ms"`
	Dependencies      []string         `json:"needs"`
	DurationMS        *int64           `json:"duration_ms"`
	Error             *string          `json:"error"`
	ErrorKind         *string          `json:"error_kind"`
	ExitCode          *int64           `json:"exit_code"`
	Handler           *string          `json:"uses"`
	LeaseExpiresAt    *string          `json:"lease_expires_at"`
	MaxAttempts       *int64           `json:"max_attempts"`
	NextAttempt       *int64           `json:"next_attempt"`
	PipelineName      *string          `json:"pipeline"`
	Priority          string           `json:"priority"`
	Queue             string           `json:"queue"`
	Reason            *string          `json:"reason"`
	Recoveries        *int64           `json:"recoveries"`
	ResumeAt          *string          `json:"resume_at"`
	RetryAt           *string          `json:"retry_at"`
	Rule              *string          `json:"rule"`
	TaskCount         *int64           `json:"task_count"`
	TaskName          *string          `json:"id"`
	Tasks             []string         `json:"tasks"`
	TriggerRule       *string          `json:"trigger_rule"`
	Worker            *string          `json:"worker"`
}

// key is one key of the data with a test for its presence.
type key struct {
	name  string
	there func(*eventData) bool
}

func at[T any](name string, field func(*eventData) *T) key {
	return key{name, func(d *eventData) bool { return field(d) != nil }}
}

var (
	keyAttempt     = at("attempt", func(d *eventData) *int64 { return d.Attempt })
	keyAvailableAt = at("available_at", func(d *eventData) *string { return d.AvailableAt })
	keyCause       = at("cause", func(d *eventData) *string { return d.Cause })
	keyCounts      = key{"counts", func(d *eventData) bool { return d.Counts != nil }}
	keyDeferredFor = at("deferred_for", func(d *eventData) *int64 { return d.DeferredFor })
	keyDefinition  = at("definition_version", func(d *eventData) *string { return d.DefinitionVersion })
	keyDelay       = at("delay_ms", func(d *eventData) *int64 { return d.DelayMS })
	keyNeeds       = key{"needs", func(d *eventData) bool { return d.Dependencies != nil }}
	keyDuration    = at("duration_ms", func(d *eventData) *int64 { return d.DurationMS })
	keyError       = at("error", func(d *eventData) *string { return d.Error })
	keyErrorKind   = at("error_kind", func(d *eventData) *string { return d.ErrorKind })
	keyHandler     = at("uses", func(d *eventData) *string { return d.Handler })
	keyLease       = at("lease_expires_at", func(d *eventData) *string { return d.LeaseExpiresAt })
	keyMaxAttempts = at("max_attempts", func(d *eventData) *int64 { return d.MaxAttempts })
	keyNextAttempt = at("next_attempt", func(d *eventData) *int64 { return d.NextAttempt })
	keyPipeline    = at("pipeline", func(d *eventData) *string { return d.PipelineName })
	keyReason      = at("reason", func(d *eventData) *string { return d.Reason })
	keyRecoveries  = at("recoveries", func(d *eventData) *int64 { return d.Recoveries })
	keyResumeAt    = at("resume_at", func(d *eventData) *string { return d.ResumeAt })
	keyRetryAt     = at("retry_at", func(d *eventData) *string { return d.RetryAt })
	keyRule        = at("rule", func(d *eventData) *string { return d.Rule })
	keyTaskCount   = at("task_count", func(d *eventData) *int64 { return d.TaskCount })
	keyTaskName    = at("id", func(d *eventData) *string { return d.TaskName })
	keyTasks       = key{"tasks", func(d *eventData) bool { return d.Tasks != nil }}
	keyTriggerRule = at("trigger_rule", func(d *eventData) *string { return d.TriggerRule })
)

// required lists the keys that the data of each event must have. Event types that are not listed are unknown to the
// folds.
var required = map[events.Type][]key{
	events.TaskCreated:        {keyTaskName, keyHandler, keyNeeds, keyTriggerRule, keyMaxAttempts},
	events.TaskMarkedReady:    {keyAvailableAt},
	events.TaskClaimed:        {keyAttempt, keyLease},
	events.TaskResumed:        {keyDeferredFor},
	events.TaskStarted:        {keyAttempt},
	events.TaskDeferred:       {keyAttempt, keyResumeAt, keyReason},
	events.TaskCompleted:      {keyAttempt, keyDuration},
	events.TaskRetryScheduled: {keyAttempt, keyNextAttempt, keyError, keyErrorKind, keyDelay, keyRetryAt},
	events.TaskFailed:         {keyAttempt, keyError, keyErrorKind},
	events.TaskSkipped:        {keyReason, keyRule},
	events.TaskReset:          {keyCause, keyRecoveries},
	events.TaskAbandoned:      {keyReason},
	events.TaskCancelled:      {keyReason},
	events.PipelineStarted:    {keyPipeline, keyDefinition, keyTaskCount},
	events.PipelineCompleted:  {keyCounts, keyDuration},
	events.PipelineFailed:     {keyCounts, keyDuration, keyError},
	events.PipelinePaused:     {keyReason},
	events.PipelineResumed:    nil,
	events.PipelineCancelled:  {keyReason},
	events.PipelineRestarted:  {keyTasks},
}

// decode reads the data of an event of a known type, or returns what is wrong with it.
func decode(t events.Type, raw []byte) (*eventData, *problem) {
	d := new(eventData)
	if err := json.Unmarshal(raw, d); err != nil {
		invariant := I2
		if !json.Valid(raw) {
			invariant = Data
		}
		return nil, &problem{
			invariant, fmt.Sprintf("event_data of %s is %s: %v", t, short(string(raw)), err),
			"a JSON object as docs/events.md describes it",
		}
	}
	for _, k := range required[t] {
		if !k.there(d) {
			return nil, &problem{
				I2, fmt.Sprintf("event_data of %s is %s, without %s", t, short(string(raw)), k.name),
				"the key " + k.name,
			}
		}
	}
	for _, s := range []*string{d.AvailableAt, d.LeaseExpiresAt, d.ResumeAt, d.RetryAt} {
		if s == nil {
			continue
		}
		if _, err := time.Parse(time.RFC3339Nano, *s); err != nil {
			return nil, &problem{I2, fmt.Sprintf("event_data of %s holds the time %s", t, short(*s)), "RFC 3339"}
		}
	}
	return d, nil
}

// micros returns a time of decoded data, which decode has checked.
func micros(s *string) number {
	t, err := time.Parse(time.RFC3339Nano, *s)
	if err != nil {
		return number{bad: true}
	}
	return some(t.UnixMicro())
}
