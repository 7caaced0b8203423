package audit

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
)

// eventData is every key of every event's data that a fold needs or that must be there (docs/events.md). Nil: absent or null.
type eventData struct {
	Attempt           *int64           `json:"attempt"`
	AvailableAt       *string          `json:"available_at"`
	Cause             *string          `json:"cause"`
	Counts            map[string]int64 `json:"counts"`
	DeferredFor       *int64           `json:"deferred_for"`
	DefinitionVersion *string          `json:"definition_version"`
	DelayMS           *int64           `json:"delay_ms"`
	Dependencies      []string         `json:"dependencies"`
	DurationMS        *int64           `json:"duration_ms"`
	Error             *string          `json:"error"`
	ErrorKind         *string          `json:"error_kind"`
	Handler           *string          `json:"handler"`
	LeaseExpiresAt    *string          `json:"lease_expires_at"`
	MaxAttempts       *int64           `json:"max_attempts"`
	NextAttempt       *int64           `json:"next_attempt"`
	PipelineName      *string          `json:"pipeline_name"`
	Priority          string           `json:"priority"`
	Queue             string           `json:"queue"`
	Reason            *string          `json:"reason"`
	Recoveries        *int64           `json:"recoveries"`
	ResumeAt          *string          `json:"resume_at"`
	RetryAt           *string          `json:"retry_at"`
	Rule              *string          `json:"rule"`
	TaskCount         *int64           `json:"task_count"`
	TaskName          *string          `json:"task_name"`
	Tasks             []string         `json:"tasks"`
	TriggerRule       *string          `json:"trigger_rule"`
	Worker            *string          `json:"worker"`
}

// key is one key of the data and whether it is there.
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
	keyNeeds       = key{"dependencies", func(d *eventData) bool { return d.Dependencies != nil }}
	keyDuration    = at("duration_ms", func(d *eventData) *int64 { return d.DurationMS })
	keyError       = at("error", func(d *eventData) *string { return d.Error })
	keyErrorKind   = at("error_kind", func(d *eventData) *string { return d.ErrorKind })
	keyHandler     = at("handler", func(d *eventData) *string { return d.Handler })
	keyLease       = at("lease_expires_at", func(d *eventData) *string { return d.LeaseExpiresAt })
	keyMaxAttempts = at("max_attempts", func(d *eventData) *int64 { return d.MaxAttempts })
	keyNextAttempt = at("next_attempt", func(d *eventData) *int64 { return d.NextAttempt })
	keyPipeline    = at("pipeline_name", func(d *eventData) *string { return d.PipelineName })
	keyReason      = at("reason", func(d *eventData) *string { return d.Reason })
	keyRecoveries  = at("recoveries", func(d *eventData) *int64 { return d.Recoveries })
	keyResumeAt    = at("resume_at", func(d *eventData) *string { return d.ResumeAt })
	keyRetryAt     = at("retry_at", func(d *eventData) *string { return d.RetryAt })
	keyRule        = at("rule", func(d *eventData) *string { return d.Rule })
	keyTaskCount   = at("task_count", func(d *eventData) *int64 { return d.TaskCount })
	keyTaskName    = at("task_name", func(d *eventData) *string { return d.TaskName })
	keyTasks       = key{"tasks", func(d *eventData) bool { return d.Tasks != nil }}
	keyTriggerRule = at("trigger_rule", func(d *eventData) *string { return d.TriggerRule })
)

// required is what the data of each event holds at least. An event type that is no key here is unknown to the folds.
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

// decode reads the data of an event of a known type, or says what is wrong with it.
func decode(t events.Type, raw []byte) (*eventData, *problem) {
	d := new(eventData)
	if err := json.Unmarshal(raw, d); err != nil {
		invariant := I2
		if !json.Valid(raw) {
			invariant = Data
		}
		return nil, &problem{invariant, fmt.Sprintf("event_data of %s is %s: %v", t, short(string(raw)), err), "a JSON object as docs/events.md describes it"}
	}
	for _, k := range required[t] {
		if !k.there(d) {
			return nil, &problem{I2, fmt.Sprintf("event_data of %s is %s, without %s", t, short(string(raw)), k.name), "the key " + k.name}
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

// micros is an instant of decoded data, which decode has found to be one.
func micros(s *string) number {
	t, err := time.Parse(time.RFC3339Nano, *s)
	if err != nil {
		return number{bad: true}
	}
	return some(t.UnixMicro())
}
