package tasks_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestEventData checks the JSON of each event's data byte by byte, that DecodeEvent reads it back, and that equal data
// is one key of a map, on which EventDataCache relies.
func TestEventData(t *testing.T) {
	t.Parallel()
	at := func() dbtype.Time { return dbtype.NewTime(time.Date(2026, 11, 22, 8, 0, 1, 500_000_000, time.UTC)) }
	seven := func() tasks.ExitCode { n := 7; return tasks.ExitCodeOf(&n) }
	skipped := tasks.SkippedData{Reason: tasks.SkipExitCode, Rule: "all_success", Detail: "exit code 7"}
	const when = `"2026-11-22T08:00:01.500000Z"`
	seen := map[events.Type]bool{}
	for _, c := range []struct {
		event events.Type
		data  func() any
		want  string
	}{
		{events.TaskCreated, func() any {
			return tasks.CreatedData{
				TaskName: "b", Handler: "shell", Queue: "default", Priority: tasks.High,
				Dependencies: tasks.NameListOf([]string{"a", `"`}), TriggerRule: "all_success", MaxAttempts: 2,
				ContinueOnError: true,
			}
		}, `{"id":"b","uses":"shell","queue":"default","priority":"high","needs":["a","\""],` +
			`"trigger_rule":"all_success",` +
			`"max_attempts":2,"continue_on_error":true}`},
		{
			events.TaskCreated, func() any { return tasks.CreatedData{Dependencies: tasks.NameListOf(nil)} },
			`{"id":"","uses":"","queue":"","priority":"","needs":[],"trigger_rule":"","max_attempts":0}`,
		},
		{events.TaskMarkedReady, func() any { return tasks.ReadyData{AvailableAt: at()} }, `{"available_at":` + when +
			`}`},
		{
			events.TaskClaimed, func() any { return tasks.ClaimedData{Attempt: 1, LeaseExpiresAt: at()} },
			`{"attempt":1,"lease_expires_at":` + when + `}`,
		},
		{events.TaskResumed, func() any { return tasks.ResumedData{DeferredFor: 4000} }, `{"deferred_for":4000}`},
		{events.TaskStarted, func() any { return tasks.StartedData{Attempt: 1} }, `{"attempt":1}`},
		{
			events.TaskDeferred, func() any { return tasks.DeferredData{Attempt: 1, ResumeAt: at(), Reason: "later"} },
			`{"attempt":1,"resume_at":` + when + `,"reason":"later"}`,
		},
		{
			events.TaskCompleted,
			func() any { return tasks.CompletedData{Attempt: 1, DurationMS: 20, ExitCode: seven()} },
			`{"attempt":1,"duration_ms":20,"exit_code":7}`,
		},
		{events.TaskCompleted, func() any { return tasks.CompletedData{Attempt: 1} }, `{"attempt":1,"duration_ms":0}`},
		{events.TaskRetryScheduled, func() any {
			return tasks.RetryScheduledData{
				Attempt: 1, NextAttempt: 2, Error: "no", ErrorKind: tasks.KindExit, DelayMS: 5, RetryAt: at(),
				ExitCode: seven(),
			}
		}, `{"attempt":1,"next_attempt":2,"error":"no","error_kind":"exit","delay_ms":5,"retry_at":` + when +
			`,"exit_code":7}`},
		{
			events.TaskFailed, func() any { return tasks.FailedData{Attempt: 2, Error: "no", DurationMS: 3} },
			`{"attempt":2,"error":"no","error_kind":null,"duration_ms":3}`,
		},
		{
			events.TaskSkipped, func() any { return skipped },
			`{"reason":"exit_code","rule":"all_success","detail":"exit code 7"}`,
		},
		{events.TaskSkipped, func() any {
			return tasks.SkippedRunningData{SkippedData: skipped, Attempt: 1, ExitCode: seven()}
		}, `{"reason":"exit_code","rule":"all_success","detail":"exit code 7","attempt":1,"exit_code":7,` +
			`"duration_ms":0}`},
		{events.TaskReset, func() any {
			return tasks.ResetData{
				Cause: tasks.CauseOperator, Worker: "w", Recoveries: 1, Reason: "stops", MaxAttempts: 3,
				AvailableAt: at(),
			}
		}, `{"cause":"operator","worker":"w","recoveries":1,"reason":"stops","max_attempts":3,"available_at":` + when +
			`}`},
		{
			events.TaskReset, func() any { return tasks.ResetData{Cause: tasks.CauseOperator, MaxAttempts: 3} },
			`{"cause":"operator","worker":null,"recoveries":0,"max_attempts":3}`,
		},
		{events.TaskAbandoned, func() any {
			return tasks.EndedData{Reason: "no", Worker: "w", ErrorKind: tasks.KindExpression}
		}, `{"reason":"no","worker":"w","error_kind":"expression"}`},
		{
			events.TaskCancelled, func() any { return tasks.EndedData{Reason: "enough"} },
			`{"reason":"enough","worker":null}`,
		},
	} {
		seen[c.event] = true
		got, err := json.Marshal(c.data())
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.event, got, err, c.want)
		}
		back, err := tasks.DecodeEvent(c.event, []byte(c.want))
		if diff := cmp.Diff(c.data(), back); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", c.event, err, diff)
		}
		if set := map[any]bool{c.data(): true}; !set[c.data()] || !set[back] {
			t.Errorf("%s: equal data is not one key of a map", c.event)
		}
		if back, err := tasks.DecodeEvent(c.event, []byte(`[]`)); err == nil {
			t.Errorf("%s: a list is decoded as %+v", c.event, back)
		}
	}
	for _, e := range events.Types() {
		if d, err := tasks.DecodeEvent(e, []byte(`{}`)); (d != nil) != seen[e] || err != nil {
			t.Errorf("%s: %T, %v", e, d, err)
		}
	}
}

// TestEventDataValues checks the values that are comparable forms of a list and of a pointer.
func TestEventDataValues(t *testing.T) {
	t.Parallel()
	if names := tasks.NameListOf([]string{"a", "b"}).Names(); len(names) != 2 || names[0] != "a" || names[1] != "b" {
		t.Errorf("names: %q", names)
	}
	if names := tasks.NameListOf(nil).Names(); names == nil || len(names) != 0 {
		t.Errorf("no names: %#v", names)
	}
	if names := tasks.NameList("").Names(); names != nil {
		t.Errorf("an absent list: %#v", names)
	}
	if n := tasks.ExitCode("").Int(); n != nil {
		t.Errorf("no exit code: %d", *n)
	}
	zero := 0
	if n := tasks.ExitCodeOf(&zero).Int(); n == nil || *n != 0 {
		t.Errorf("exit code 0: %v", n)
	}
	for _, data := range []string{`{"needs": [1]}`, `{"needs": "a"}`} {
		if d, err := tasks.DecodeEvent(events.TaskCreated, []byte(data)); err == nil {
			t.Errorf("%s is decoded as %+v", data, d)
		}
	}
	if d, err := tasks.DecodeEvent(events.TaskFailed, []byte(`{"exit_code": 1.5}`)); err == nil {
		t.Errorf("half an exit code is decoded as %+v", d)
	}
}
