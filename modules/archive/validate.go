package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// Bounds on the content of a file. What an engine writes is far below them.
const (
	maxLine        = 64 << 20 // bytes
	maxName        = 1 << 10  // bytes of a name, actor or key
	maxData        = 8 << 20  // bytes of an event's data
	maxSequenceNum = 1 << 48  // leaves numbers for many imports and all events after them
)

var latest = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) // the first time that no longer fits the text form

// validator checks that each line of a file is one that an export writes, and that it belongs to an execution of the
// same page of the file.
type validator struct {
	open        int64
	highest     int64 // sequence_num
	definitions map[string]bool
	ids         []dbtype.ID             // of the executions
	page        map[dbtype.ID]int64     // its executions and the latest sequence_num of each
	tasks       map[dbtype.ID]dbtype.ID // its tasks and their executions
	begun       bool                    // the page has lines other than of executions
}

// line decodes a line and returns an error if it is invalid.
func (v *validator) line(raw []byte) error {
	if !utf8.Valid(raw) {
		return errors.New("it is not UTF-8")
	}
	x, err := decodeLine(raw)
	if err != nil {
		return err
	}
	switch {
	case x.Definition != nil:
		return v.definition(x.Definition)
	case x.Execution != nil:
		return v.execution(x.Execution)
	case x.Task != nil:
		return v.task(x.Task)
	case x.Event != nil:
		return v.event(x.Event)
	case x.Outbox != nil:
		q := x.Outbox
		return first(v.known(q.TaskExecutionID), short("handler", q.Handler), short("queue", q.Queue),
			within("lane", int64(q.Lane), 0, 100),
			instants(q.AvailableAt, q.CreatedAt), needed("available_at", q.AvailableAt),
			needed("created_at", q.CreatedAt))
	}
	l := x.Log
	return first(v.known(l.TaskExecutionID), within("attempt", int64(l.Attempt), 1, math.MaxInt32),
		instants(l.CreatedAt), needed("created_at", l.CreatedAt),
		within("seq", l.Seq, 1, math.MaxInt64), stream(l.Stream),
		within("byte_offset", l.ByteOffset, 0, math.MaxInt64/2),
		within("byte_count", int64(l.ByteCount), 0, math.MaxInt32), text("text", l.Text, 2*tasks.MaxLog))
}

// decodeLine decodes a line, which must contain exactly one entry.
func decodeLine(text []byte) (*line, error) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return nil, err
	}
	if len(parts) != 1 {
		return nil, fmt.Errorf("it holds %d things, and must hold one", len(parts))
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	x := &line{}
	if err := dec.Decode(x); err != nil {
		return nil, err
	}
	if x.Definition == nil && x.Execution == nil && x.Task == nil && x.Event == nil && x.Outbox == nil && x.Log == nil {
		return nil, errors.New("it is empty")
	}
	return x, nil
}

func (v *validator) definition(d *engine.StoredDefinition) error {
	if err := first(name("pipeline_name", d.PipelineName), name("version", d.Version),
		instants(d.RegisteredAt)); err != nil {
		return err
	}
	if !definition.HasVersion(d.Definition, d.Version) {
		is, _ := definition.VersionOf(d.Definition)
		return fmt.Errorf("the definition of %q has the version %s, and its content has the hash %s", d.PipelineName,
			d.Version, is)
	}
	def, err := definition.Decode(d.Definition)
	if err != nil {
		return fmt.Errorf("the definition of %q, version %s: %w", d.PipelineName, d.Version, err)
	}
	if def.Name != d.PipelineName {
		return fmt.Errorf("the definition of %q is one of %q", d.PipelineName, def.Name)
	}
	v.definitions[d.PipelineName+"/"+d.Version] = true
	return nil
}

func (v *validator) execution(e *pipelines.Execution) error {
	if v.begun {
		v.begun = false
		clear(v.page)
		clear(v.tasks)
	}
	if _, twice := v.page[e.ID]; twice {
		return fmt.Errorf("duplicate pipeline execution %s", e.ID)
	}
	v.page[e.ID] = 0
	v.ids = append(v.ids, e.ID)
	if !e.Status.Terminal() {
		v.open++
	}
	if !slices.Contains(pipelines.Statuses(), e.Status) {
		return fmt.Errorf("unknown status %q", e.Status)
	}
	if e.SealedVersion != nil {
		if err := within("sealed_version", *e.SealedVersion, 1, e.Version); err != nil {
			return err
		}
	}
	return first(present(e.ID), labels(e.Labels), name("pipeline_name", e.PipelineName),
		name("definition_version", e.DefinitionVersion),
		within("version", e.Version, 1, math.MaxInt32), within("attempt", int64(e.Attempt), 1, e.Version),
		bounded("input", e.Input, definition.MaxInput),
		text("error", string(e.Error), 2*tasks.MaxError), short("idempotency_key", string(e.IdempotencyKey)),
		within("open_tasks", int64(e.OpenTasks), 0, definition.MaxTasks),
		within("unsuccessful_tasks", int64(e.UnsuccessfulTasks), 0, definition.MaxTasks),
		within("events_removed", e.EventsRemoved, 0, maxSequenceNum), short("seal", string(e.Seal)),
		short("former_seal", string(e.FormerSeal)),
		text("seal_parts", string(e.SealParts), maxLine),
		instants(e.OutputsRemovedAt, e.LogsRemovedAt, e.CreatedAt, e.CompletedAt, e.PausedAt, e.DeadlineAt),
		needed("created_at", e.CreatedAt))
}

func (v *validator) task(t *tasks.Task) error {
	v.begun = true
	if _, ok := v.page[t.PipelineExecutionID]; !ok {
		return fmt.Errorf("it belongs to the pipeline execution %s, which is not before it", t.PipelineExecutionID)
	}
	if _, twice := v.tasks[t.ID]; twice {
		return fmt.Errorf("duplicate task execution %s", t.ID)
	}
	v.tasks[t.ID] = t.PipelineExecutionID
	if !slices.Contains(tasks.Statuses(), t.Status) {
		return fmt.Errorf("unknown status %q", t.Status)
	}
	return first(present(t.ID), name("task_name", t.TaskName), name("handler", t.Handler), name("queue", t.Queue),
		short("sub_status", string(t.SubStatus)),
		short("skip_reason", string(t.SkipReason)), short("error_kind", string(t.ErrorKind)),
		short("worker_id", string(t.WorkerID)), within("priority", int64(t.Priority), 0, 100),
		within("version", t.Version, 1, math.MaxInt32),
		within("attempt", int64(t.Attempt), 0, math.MaxInt32),
		within("max_attempts", int64(t.MaxAttempts), 0, math.MaxInt32),
		within("remaining_dependencies", int64(t.RemainingDependencies), 0, definition.MaxTasks),
		within("recoveries", int64(t.Recoveries), 0, math.MaxInt32),
		bounded("output", t.Output, 2*tasks.MaxOutput), text("error", string(t.Error), 2*tasks.MaxError),
		instants(t.RetryAt, t.CreatedAt, t.StartedAt, t.CompletedAt), needed("created_at", t.CreatedAt))
}

func (v *validator) event(e *events.Event) error {
	v.begun = true
	last, ok := v.page[e.PipelineExecutionID]
	switch {
	case !ok:
		return fmt.Errorf("it belongs to the pipeline execution %s, which is not before it", e.PipelineExecutionID)
	case e.SequenceNum <= last:
		return fmt.Errorf("its sequence_num %d is not more than that of the event before it, %d", e.SequenceNum, last)
	case !e.TaskExecutionID.IsZero() && v.tasks[e.TaskExecutionID] != e.PipelineExecutionID:
		return fmt.Errorf("it is of the task execution %s, which is none of its pipeline execution", e.TaskExecutionID)
	}
	v.page[e.PipelineExecutionID] = e.SequenceNum
	v.highest = max(v.highest, e.SequenceNum)
	if e.Version != nil {
		if err := within("version", *e.Version, 1, math.MaxInt32); err != nil {
			return err
		}
	}
	return first(present(e.ID), within("sequence_num", e.SequenceNum, 1, maxSequenceNum),
		name("event_type", string(e.EventType)),
		bounded("event_data", e.EventData, maxData), short("worker_id", string(e.WorkerID)),
		short("actor", string(e.Actor)),
		instants(e.CreatedAt), needed("created_at", e.CreatedAt))
}

func (v *validator) known(task dbtype.ID) error {
	v.begun = true
	if _, ok := v.tasks[task]; !ok {
		return fmt.Errorf("it belongs to the task execution %s, which is not before it", task)
	}
	return nil
}

func within(what string, n, low, high int64) error {
	if n < low || n > high {
		return fmt.Errorf("%s is %d, and must be from %d to %d", what, n, low, high)
	}
	return nil
}

func present(id dbtype.ID) error {
	if id.IsZero() {
		return errors.New("it has no id")
	}
	return nil
}

func name(what, s string) error {
	if s == "" {
		return fmt.Errorf("%s is empty", what)
	}
	return short(what, s)
}

func short(what, s string) error { return text(what, s, maxName) }

// labels checks the names and values of an execution's labels, in the order of the names.
func labels(l map[string]string) error {
	for _, label := range slices.Sorted(maps.Keys(l)) {
		err := first(name("the name of a label", label), short(fmt.Sprintf("the label %.100q", label), l[label]))
		if err != nil {
			return err
		}
	}
	return nil
}

// text checks that both databases can store a string, and that it has at most most bytes.
func text(what, s string, most int) error {
	switch {
	case len(s) > most:
		return fmt.Errorf("%s has %d bytes, more than the limit of %d", what, len(s), most)
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("%s holds a NUL character", what)
	}
	return nil
}

func bounded(what string, j dbtype.JSON, most int) error {
	if len(j) == 0 || string(j) == "null" {
		return nil
	}
	if err := jsonvalue.Check(j, most); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func instants(list ...dbtype.Time) error {
	for _, t := range list {
		if !t.IsZero() && (t.Unix() < 0 || !t.Before(latest)) {
			return fmt.Errorf("the time %s is not from 1970 to 9999", t.Format(time.RFC3339))
		}
	}
	return nil
}

func needed(what string, t dbtype.Time) error {
	if t.IsZero() {
		return fmt.Errorf("%s is missing", what)
	}
	return nil
}

func stream(s tasks.Stream) error {
	if s != tasks.Stdout && s != tasks.Stderr {
		return fmt.Errorf("stream is %q: expected %s or %s", s, tasks.Stdout, tasks.Stderr)
	}
	return nil
}
