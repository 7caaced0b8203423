package audit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// sim is a pipeline execution that is written from docs/events.md alone. It makes rows and events as the
// documentation describes them, without the engine, so that the auditor is tested against the specification.
type sim struct {
	id, definition                string
	pid                           dbtype.ID
	status, err                   string
	version                       int64
	removed                       int64
	attempt                       int64 // restarts so far
	now, created, ended, pausedAt dbtype.Time
	tasks                         []*simTask
	events                        []simEvent
}

type simTask struct {
	id                                        dbtype.ID
	name, rule, reason                        string
	continues                                 bool
	needs                                     []string
	status                                    tasks.Status
	sub                                       string
	version, attempt, max, remaining, recover int64
	worker, err, errKind                      string
	retryAt, created, started, completed      dbtype.Time
	due                                       dbtype.Time // of its outbox row
}

type simEvent struct {
	task    dbtype.ID // zero: the pipeline's own
	typ     string
	version int64 // 0: null
	data    string
	worker  string
	at      dbtype.Time
}

type fields map[string]any

// simSpec describes a task of a sim: name, dependencies, trigger rule.
type simSpec struct {
	name  string
	needs []string
	rule  string

	continues bool // the pipeline continues after its failure
}

func startSim(specs ...simSpec) *sim {
	s := &sim{
		pid: dbtype.NewID(), id: "nightly", definition: "v1",
		now: dbtype.NewTime(time.Date(2026, 11, 21, 12, 0, 0, 123456000, time.UTC)),
	}
	s.created, s.status = s.now, "Running"
	s.emit(nil, "pipeline_started", "",
		fields{"pipeline": s.id, "definition_version": s.definition, "task_count": len(specs)})
	for _, x := range specs {
		if x.rule == "" {
			x.rule = "all_success"
		}
		if x.needs == nil {
			x.needs = []string{}
		}
		t := &simTask{
			id: dbtype.NewID(), name: x.name, needs: x.needs, rule: x.rule, continues: x.continues,
			status: tasks.NotStarted, max: 3, remaining: int64(len(x.needs)), created: s.now,
		}
		s.tasks = append(s.tasks, t)
		data := fields{"id": t.name, "uses": "shell", "needs": t.needs, "trigger_rule": t.rule, "max_attempts": t.max}
		if t.continues {
			data["continue_on_error"] = true
		}
		s.emit(t, "task_created", "", data)
	}
	for _, t := range s.tasks {
		if t.remaining == 0 {
			s.decide(t)
		}
	}
	return s
}

// emit writes the event of the next version of a task, or of the pipeline.
func (s *sim) emit(t *simTask, typ, worker string, data fields) {
	e := simEvent{typ: typ, worker: worker, at: s.now}
	if t == nil {
		s.version++
		e.version = s.version
	} else {
		t.version++
		e.version, e.task = t.version, t.id
	}
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	e.data = string(raw)
	s.events = append(s.events, e)
}

func (s *sim) tick() { s.now = dbtype.NewTime(s.now.Add(time.Second)) }

func (s *sim) task(name string) *simTask {
	i := slices.IndexFunc(s.tasks, func(t *simTask) bool { return t.name == name })
	return s.tasks[i]
}

// says returns the current result of a task's trigger rule.
func (s *sim) says(t *simTask) string {
	n := &needs{}
	for _, name := range t.needs {
		d := s.task(name)
		n.count(d.status, d.reason)
	}
	return ruleSays(t.rule, n)
}

func (s *sim) decide(t *simTask) {
	switch says := s.says(t); says {
	case waits:
	case runs:
		t.status, t.due = tasks.Ready, s.now
		s.emit(t, "task_marked_ready", "", fields{"available_at": s.now})
	default:
		t.reason = says
		s.emit(t, "task_skipped", "", fields{"reason": says, "rule": t.rule, "detail": "for people"})
		s.end(t, tasks.Skipped)
	}
}

// end makes a task terminal, with all consequences.
func (s *sim) end(t *simTask, status tasks.Status) {
	t.status, t.sub, t.completed = status, "", s.now
	for _, d := range s.tasks {
		if slices.Contains(d.needs, t.name) {
			d.remaining--
			if d.status == tasks.NotStarted {
				s.decide(d)
			}
		}
	}
	s.settle()
}

func (s *sim) settle() {
	open, counts, culprit := 0, fields{}, ""
	for _, t := range s.tasks {
		n, _ := counts[string(t.status)].(int)
		counts[string(t.status)] = n + 1
		if !t.status.Terminal() {
			open++
		}
		if (t.status == tasks.Failed || t.status == tasks.Abandoned) && !t.continues {
			culprit = t.name
		}
	}
	if open > 0 || (s.status != "Running" && s.status != "Paused") {
		return
	}
	s.ended, s.pausedAt, s.status = s.now, dbtype.Time{}, "Completed"
	if culprit == "" {
		s.emit(nil, "pipeline_completed", "", fields{"counts": counts, "duration_ms": 5})
		return
	}
	s.status, s.err = "Failed", "task "+culprit+" failed"
	s.emit(nil, "pipeline_failed", "", fields{"counts": counts, "duration_ms": 5, "error": s.err})
}

func (s *sim) claim(name, worker string) *simTask {
	s.tick()
	t := s.task(name)
	deferred := t.sub == "Deferred"
	if !deferred {
		t.attempt++
	}
	t.status, t.sub, t.worker, t.retryAt, t.started = tasks.Running, "Active", worker, dbtype.Time{}, s.now
	s.emit(t, "task_claimed", worker, fields{"attempt": t.attempt, "lease_expires_at": s.now})
	if deferred {
		s.emit(t, "task_resumed", worker, fields{"deferred_for": 1000})
	}
	s.emit(t, "task_started", worker, fields{"attempt": t.attempt})
	return t
}

func (s *sim) complete(name string) {
	s.tick()
	t := s.task(name)
	t.err, t.errKind = "", ""
	s.emit(t, "task_completed", t.worker, fields{"attempt": t.attempt, "duration_ms": 7})
	s.end(t, tasks.Completed)
}

func (s *sim) fail(name, text string) {
	s.tick()
	t := s.task(name)
	t.err, t.errKind = text, "error"
	s.emit(t, "task_failed", t.worker, fields{"attempt": t.attempt, "error": text, "error_kind": "error"})
	s.end(t, tasks.Failed)
}

func (s *sim) retry(name, text string) {
	s.tick()
	t := s.task(name)
	t.errKind = "exit"
	t.status, t.sub, t.err, t.retryAt = tasks.Ready, "", text, dbtype.NewTime(s.now.Add(time.Minute))
	t.due = t.retryAt
	s.emit(t, "task_retry_scheduled", t.worker, fields{
		"attempt": t.attempt, "next_attempt": t.attempt + 1, "error": text, "error_kind": "exit", "delay_ms": 60000,
		"retry_at": t.retryAt,
	})
	t.worker = ""
}

func (s *sim) deferTask(name string) {
	s.tick()
	t := s.task(name)
	t.status, t.sub, t.retryAt, t.started = tasks.Ready, "Deferred", dbtype.NewTime(s.now.Add(time.Hour)), s.now
	t.due = t.retryAt
	s.emit(t, "task_deferred", t.worker, fields{"attempt": t.attempt, "resume_at": t.retryAt, "reason": "not yet"})
	t.worker = ""
}

func (s *sim) recover(name string) {
	s.tick()
	t := s.task(name)
	t.status, t.sub, t.due, t.recover = tasks.Ready, "", s.now, t.recover+1
	s.emit(t, "task_reset", "",
		fields{"cause": "lease_expired", "worker": t.worker, "recoveries": t.recover, "available_at": s.now})
	t.worker = ""
}

func (s *sim) release(name string) {
	s.tick()
	t := s.task(name)
	t.status, t.sub, t.due, t.max = tasks.Ready, "", s.now, t.max+1
	s.emit(t, "task_reset", t.worker, fields{
		"cause": "operator", "worker": t.worker, "recoveries": t.recover,
		"max_attempts": t.max, "reason": "drain", "available_at": s.now,
	})
	t.worker = ""
}

func (s *sim) abandon(name string) {
	s.tick()
	t := s.task(name)
	s.emit(t, "task_abandoned", "", fields{"reason": "gone", "worker": t.worker})
	t.err, t.errKind, t.worker, t.retryAt = "gone", "", "", dbtype.Time{}
	s.end(t, tasks.Abandoned)
}

func (s *sim) pause() {
	s.tick()
	s.status, s.pausedAt = "Paused", s.now
	s.emit(nil, "pipeline_paused", "", fields{"reason": "by hand"})
}

func (s *sim) resume() {
	s.tick()
	s.status, s.pausedAt = "Running", dbtype.Time{}
	s.emit(nil, "pipeline_resumed", "", fields{})
	for _, t := range s.tasks {
		if t.status == tasks.Ready && t.retryAt.Before(s.now.Time) {
			t.due = s.now
		}
	}
}

func (s *sim) cancel() {
	s.tick()
	s.status, s.ended, s.pausedAt = "Cancelled", s.now, dbtype.Time{}
	s.emit(nil, "pipeline_cancelled", "", fields{"reason": "by hand"})
	for _, t := range s.tasks {
		t.remaining = 0
		if !t.status.Terminal() {
			s.emit(t, "task_cancelled", "", fields{"reason": "by hand", "worker": t.worker})
			t.status, t.sub, t.worker, t.retryAt, t.completed = tasks.Cancelled, "", "", dbtype.Time{}, s.now
		}
	}
}

// restart reopens all tasks that did not complete and their dependents, or all tasks of a completed pipeline.
func (s *sim) restart() {
	s.tick()
	all := s.status == "Completed"
	s.status, s.ended, s.err = "Running", dbtype.Time{}, ""
	s.attempt++
	names := []string{}
	for _, t := range s.tasks { // in topological order
		after := slices.ContainsFunc(t.needs, func(name string) bool { return slices.Contains(names, name) })
		if all || after || t.status != tasks.Completed {
			names = append(names, t.name)
			t.status, t.sub, t.max, t.recover, t.worker, t.err, t.errKind, t.reason = tasks.NotStarted, "", t.attempt+3,
				0, "", "", "", ""
			t.retryAt, t.completed = dbtype.Time{}, dbtype.Time{}
			s.emit(t, "task_reset", "", fields{"cause": "operator", "recoveries": 0, "max_attempts": t.max})
		}
	}
	s.emit(nil, "pipeline_restarted", "", fields{"tasks": names})
	for _, t := range s.tasks {
		t.remaining = 0
		for _, name := range t.needs {
			if !s.task(name).status.Terminal() {
				t.remaining++
			}
		}
	}
	for _, t := range s.tasks {
		if t.status == tasks.NotStarted {
			s.decide(t)
		}
	}
}

func (s *sim) annotate(task *simTask) {
	s.tick()
	e := simEvent{typ: "annotation", data: `{"note": "hello"}`, at: s.now}
	if task != nil {
		e.task = task.id
	}
	s.events = append(s.events, e)
}

// write inserts the rows and events into the database.
func (s *sim) write(tx db.Tx) error {
	open, unsuccessful := 0, 0
	for _, t := range s.tasks {
		if !t.status.Terminal() {
			open++
		} else if t.status != tasks.Completed {
			unsuccessful++
		}
		if err := s.writeTask(tx, t); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`INSERT INTO {pipeline_executions} (id, pipeline_name, definition_version, status,
  version, attempt, error, open_tasks, unsuccessful_tasks,
  events_removed, created_at, completed_at, paused_at)
VALUES ($id, $name, $definition, $status, $version, $attempt, $error, $open, $unsuccessful, $removed, $created, $ended,
  $paused)`, db.Args{
		"id": s.pid, "name": s.id, "definition": s.definition, "status": s.status, "version": s.version,
		"attempt": s.attempt + 1, "error": dbtype.Text(s.err), "open": open,
		"unsuccessful": unsuccessful, "removed": s.removed, "created": s.created, "ended": s.ended,
		"paused": s.pausedAt,
	})
	if err != nil {
		return err
	}
	for _, e := range s.events {
		if err := writeEvent(tx, s.pid, e); err != nil {
			return err
		}
	}
	return nil
}

func writeEvent(tx db.Tx, pipeline dbtype.ID, e simEvent) error {
	_, err := tx.Exec(`INSERT INTO {execution_events} (id, pipeline_execution_id, task_execution_id,
  event_type, version, event_data, worker_id, created_at)
VALUES ($id, $pipeline, $task, $type, NULLIF($version, 0), $data, $worker, $at)`, db.Args{
		"id": dbtype.NewID(), "pipeline": pipeline, "task": e.task, "type": e.typ, "version": e.version,
		"data": dbtype.JSON(e.data), "worker": dbtype.Text(e.worker), "at": e.at,
	})
	return err
}

func (s *sim) writeTask(tx db.Tx, t *simTask) error {
	_, err := tx.Exec(`INSERT INTO {task_executions} (id, pipeline_execution_id, task_name, handler,
  status, sub_status, version, attempt, max_attempts,
  remaining_dependencies, worker_id, retry_at, recoveries, skip_reason, error, error_kind, created_at, started_at,
  completed_at)
VALUES ($id, $pipeline, $name, 'shell', $status, $sub, $version, $attempt, $max, $remaining, $worker, $retry_at,
  $recoveries, $reason, $error, $kind, $created, $started, $completed)`, db.Args{
		"id": t.id, "pipeline": s.pid, "name": t.name, "status": string(t.status), "sub": dbtype.Text(t.sub),
		"version": t.version, "attempt": t.attempt,
		"max": t.max, "remaining": t.remaining, "worker": dbtype.Text(t.worker), "retry_at": t.retryAt,
		"recoveries": t.recover, "error": dbtype.Text(t.err),
		"reason": dbtype.Text(t.reason), "kind": dbtype.Text(t.errKind), "created": t.created, "started": t.started,
		"completed": t.completed,
	})
	if err != nil || t.status != tasks.Ready || s.status != "Running" {
		return err
	}
	due := t.due
	if due.IsZero() {
		due = s.now // a mutation has made it Ready
	}
	return writeQueued(tx, t.id, due)
}

func writeQueued(tx db.Tx, task dbtype.ID, at dbtype.Time) error {
	_, err := tx.Exec(`INSERT INTO {task_outbox} (task_execution_id, handler, available_at, created_at)
  VALUES ($task, 'shell', $at, $at)`,
		db.Args{"task": task, "at": at})
	return err
}

// remove deletes the execution from the database.
func (s *sim) remove(tx db.Tx) error {
	for _, statement := range []string{
		`DELETE FROM {task_outbox} WHERE task_execution_id IN (SELECT id FROM {task_executions}
  WHERE pipeline_execution_id = $id)`,
		`DELETE FROM {task_executions} WHERE pipeline_execution_id = $id`,
		`DELETE FROM {execution_events} WHERE pipeline_execution_id = $id`,
		`DELETE FROM {pipeline_executions} WHERE id = $id`,
	} {
		if _, err := tx.Exec(statement, db.Args{"id": s.pid}); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func save(t testing.TB, d *db.DB, sims ...*sim) {
	t.Helper()
	err := d.Transaction(t.Context(), func(tx db.Tx) error {
		for _, s := range sims {
			if err := s.write(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func verify(t testing.TB, d *db.DB, o Options) Report {
	t.Helper()
	r, err := New(d).Verify(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func without[T comparable](list []T, x T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(y T) bool { return x == y })
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func sortedStrings(list []string) []string {
	slices.Sort(list)
	return list
}

func eventType(s string) events.Type { return events.Type(s) }
