package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
)

// ErrIllegal is a move that the transition table does not have.
var ErrIllegal = errors.New("illegal transition")

// Change is what is to happen to one task in one transaction: transitions in order, each with its event's data, and the
// row that they lead to. It is a pure value; Repository.Apply writes it.
type Change struct {
	Task        Task             // the row as it will be
	ReadVersion int64            // the version that was read; 0: the row does not exist yet
	Steps       []TransitionStep // at least one
	Actor       string           // who asked for it, if anybody did
	// Holder and Since are whose claim the row was under, and since when, as it was read: beside the version they are
	// the fence. After lost commits another claim of the task may have reached the same version.
	Holder   db.Text
	Since    db.Time
	NoOutbox bool // the pipeline is not Running: a task that becomes Ready gets no outbox row yet

	ReservedFor string // the worker that the pipeline execution is reserved for; empty: none

	failure error
}

// TransitionStep is one transition with its event's data.
type TransitionStep struct {
	Transition Transition
	Data       any // encoded as a JSON object
	Worker     db.Text
}

// NewChange makes a move of a task as it was read, with no step yet.
func NewChange(t Task) *Change {
	return &Change{Task: t, ReadVersion: t.Version, Holder: t.WorkerID, Since: t.StartedAt}
}

// addStep takes a transition: the table decides, and the version counts.
func (m *Change) addStep(t Transition, data any) *Change {
	if !t.allows(m.Task.Status) && m.failure == nil {
		m.failure = fmt.Errorf("%w: %s of task %q, which is %s", ErrIllegal, t.Name, m.Task.TaskName, m.Task.Status)
	}
	m.Task.Status, m.Task.SubStatus = t.To, t.SubStatus
	m.Task.Version++
	m.Steps = append(m.Steps, TransitionStep{Transition: t, Data: data, Worker: m.Task.WorkerID})
	return m
}

// Attribute names the worker whose act the last step was, where the row's own worker did not take it.
func (m *Change) Attribute(worker string) *Change {
	m.Steps[len(m.Steps)-1].Worker = db.Text(worker)
	return m
}

// Spec is what a task is created with.
type Spec struct {
	ID, PipelineExecutionID db.ID
	TaskName, Handler       string
	Queue                   string
	Priority                Priority
	Dependencies            []string
	TriggerRule             string
	MaxAttempts             int
	ContinueOnError         bool
}

// InitialRow is the row that Create leads to, but for the time.
func (n *Spec) InitialRow() Task {
	t := n.beforeCreation()
	t.Status, t.Version = TransitionCreate.To, 1
	return t
}

func (n *Spec) beforeCreation() Task {
	return Task{
		ID: n.ID, PipelineExecutionID: n.PipelineExecutionID, TaskName: n.TaskName, Handler: n.Handler,
		Queue: n.Queue, Priority: n.Priority.Level(), MaxAttempts: n.MaxAttempts, RemainingDependencies: len(n.Dependencies),
	}
}

// Create creates a task, NotStarted.
func Create(n Spec, now db.Time) *Change {
	m := NewChange(n.beforeCreation())
	m.Task.CreatedAt = now
	return m.addStep(TransitionCreate, createdEvent{
		n.TaskName, n.Handler, n.Queue, n.Priority, listOf(n.Dependencies), n.TriggerRule, n.MaxAttempts, n.ContinueOnError,
	})
}

// TransitionMarkReady makes a task whose trigger rule holds available at once. Its dependencies are terminal, unless
// the rule is decided by the first of them that ends so.
func (m *Change) MarkReady(now db.Time) *Change {
	return m.addStep(TransitionMarkReady, readyEvent{now})
}

// Skip ends a task whose trigger rule or condition is false. detail is the reason in words, for people.
func (m *Change) Skip(reason SkipReason, rule, detail string, now db.Time) *Change {
	m.Task.CompletedAt, m.Task.SkipReason = now, reason
	return m.addStep(TransitionSkip, skippedEvent{reason, rule, detail})
}

// Claim gives a Ready task, whose outbox row has been taken in the same transaction, to a worker. A task that was
// deferred goes on with its attempt, any other begins the next one. A worker with a free slot composes
// TransitionMarkStarted into the claim.
func (t Task) Claim(worker string, leaseExpires, now db.Time) *Change {
	return NewChange(t).Claim(worker, leaseExpires, now)
}

// Claim is Task.Claim as a further step, for a task that becomes Ready in the same transaction: its outbox row would be
// written and taken before anybody could see it.
func (m *Change) Claim(worker string, leaseExpires, now db.Time) *Change {
	deferred, before := m.Task.SubStatus == Deferred, m.Task.StartedAt
	if !deferred {
		m.Task.Attempt++
	}
	m.Task.WorkerID, m.Task.RetryAt, m.Task.StartedAt = db.Text(worker), db.Time{}, now
	m.addStep(TransitionClaim, claimedEvent{m.Task.Attempt, leaseExpires})
	if deferred {
		m.addStep(TransitionResume, resumedEvent{since(before, now)})
	}
	return m
}

// TransitionMarkStarted says that from this commit on the handler may have run.
func (m *Change) MarkStarted() *Change {
	return m.addStep(TransitionMarkStarted, startedEvent{m.Task.Attempt})
}

// Complete ends a running task with its output. exit is its command's exit code, if it ran one.
func (t Task) Complete(output db.JSON, exit *int, now db.Time) *Change {
	m := NewChange(t)
	m.Task.Output, m.Task.Error, m.Task.CompletedAt = output, "", now
	m.Task.ErrorKind = ""
	return m.addStep(TransitionComplete, completedEvent{t.Attempt, since(t.StartedAt, now), exitCodeOf(exit)})
}

// SkipRunning ends a running task whose command ended with one of its skip_exit_codes.
func (t Task) SkipRunning(exit int, rule string, now db.Time) *Change {
	m := NewChange(t)
	m.Task.Error, m.Task.CompletedAt, m.Task.SkipReason = "", now, SkipExitCode
	m.Task.ErrorKind = ""
	return m.addStep(SkipRunning, skippedRunningData{skippedEvent{SkipExitCode, rule, fmt.Sprintf("exit code %d", exit)}, t.Attempt, exitCodeOf(&exit), since(t.StartedAt, now)})
}

// Fail ends a running task whose attempt failed for good. exit is its command's exit code, if there is one.
func (t Task) Fail(kind ErrorKind, text string, exit *int, now db.Time) *Change {
	m := NewChange(t)
	m.Task.Error, m.Task.ErrorKind, m.Task.CompletedAt = db.Text(text), kind, now
	return m.addStep(TransitionFail, failedEvent{t.Attempt, text, kind, since(t.StartedAt, now), exitCodeOf(exit)})
}

// TransitionScheduleRetry puts a running task, whose attempt failed, back into the outbox, due after the delay.
func (t Task) ScheduleRetry(kind ErrorKind, text string, exit *int, delay time.Duration, now db.Time) *Change {
	m := NewChange(t)
	at := db.NewTime(now.Add(delay))
	m.Task.Error, m.Task.ErrorKind, m.Task.RetryAt = db.Text(text), kind, at
	m.addStep(TransitionScheduleRetry, retryEvent{t.Attempt, t.Attempt + 1, text, kind, delay.Milliseconds(), at, exitCodeOf(exit)})
	m.Task.WorkerID = ""
	return m
}

// Defer puts a running task back into the outbox at its handler's wish. Until it is claimed again, StartedAt says when
// that was.
func (t Task) Defer(until db.Time, reason string, now db.Time) *Change {
	m := NewChange(t)
	m.Task.RetryAt, m.Task.StartedAt = until, now
	m.addStep(TransitionDefer, deferredEvent{t.Attempt, until, reason})
	m.Task.WorkerID = ""
	return m
}

// Recover takes a running task from a worker whose lease has expired and makes it Ready again.
func (t Task) Recover(now db.Time) *Change {
	m := NewChange(t)
	m.Task.Recoveries++
	m.Task.WorkerID = ""
	return m.addStep(TransitionReset, resetEvent{Cause: CauseLeaseExpired, Worker: t.WorkerID, Recoveries: m.Task.Recoveries, AvailableAt: &now})
}

// Release takes a running task from a worker that stops before it has ended, and makes it Ready again. The attempt does
// not count against its budget, and the worker did not die of it.
func (t Task) Release(reason string, now db.Time) *Change {
	m := NewChange(t)
	m.Task.MaxAttempts++
	m.addStep(TransitionReset, resetEvent{
		Cause: CauseOperator, Worker: t.WorkerID, Recoveries: t.Recoveries, Reason: reason, MaxAttempts: m.Task.MaxAttempts, AvailableAt: &now,
	})
	m.Task.WorkerID = ""
	return m
}

// Reopen makes a terminal task NotStarted for an operator's retry, with a whole budget of attempts. It has no output
// any more.
func (t Task) Reopen(maxAttempts, remaining int) *Change {
	m := NewChange(t)
	m.Task.MaxAttempts, m.Task.Recoveries, m.Task.RemainingDependencies = t.Attempt+maxAttempts, 0, remaining
	m.Task.WorkerID, m.Task.Error, m.Task.RetryAt, m.Task.CompletedAt = "", "", db.Time{}, db.Time{}
	m.Task.SkipReason, m.Task.Output, m.Task.ErrorKind = NoSkipReason, nil, ""
	return m.addStep(TransitionReopen, resetEvent{Cause: CauseOperator, Recoveries: 0, MaxAttempts: m.Task.MaxAttempts})
}

// Abandon gives a task up that can't be run.
func (m *Change) Abandon(reason string, now db.Time) *Change {
	had := m.Task.WorkerID
	m.Task.Error, m.Task.CompletedAt, m.Task.WorkerID, m.Task.RetryAt = db.Text(reason), now, "", db.Time{}
	m.Task.ErrorKind = ""
	return m.addStep(TransitionAbandon, endedEvent{Reason: reason, Worker: had})
}

// AbandonAs is Abandon for a reason that is an error of a kind.
func (m *Change) AbandonAs(kind ErrorKind, reason string, now db.Time) *Change {
	had := m.Task.WorkerID
	m.Abandon(reason, now)
	m.Task.ErrorKind = kind
	m.Steps[len(m.Steps)-1].Data = endedEvent{Reason: reason, Worker: had, ErrorKind: kind}
	return m
}

// Cancel ends a task with its pipeline.
func (t Task) Cancel(reason string, now db.Time) *Change {
	m := NewChange(t)
	m.Task.CompletedAt, m.Task.WorkerID, m.Task.RetryAt = now, "", db.Time{}
	m.Task.RemainingDependencies = 0 // they end in the same transaction
	return m.addStep(TransitionCancel, endedEvent{Reason: reason, Worker: t.WorkerID})
}

func since(from, to db.Time) int64 {
	if from.IsZero() {
		return 0
	}
	return max(0, to.Sub(from.Time).Milliseconds())
}

// encoded is the data of events, each encoded once: in a transaction of many tasks most of it is the same.
type encoded map[any]json.RawMessage

func (e encoded) of(s *TransitionStep) (json.RawMessage, error) {
	if data, ok := e[s.Data]; ok {
		return data, nil
	}
	data, err := json.Marshal(s.Data)
	if err != nil {
		return nil, fmt.Errorf("encode the data of %s: %w", s.Transition.Event, err)
	}
	e[s.Data] = data
	return data, nil
}

// events encodes the history of the move.
func (m *Change) events(list []events.Event, known encoded) ([]events.Event, error) {
	for i := range m.Steps {
		s := &m.Steps[i]
		data, err := known.of(s)
		if err != nil {
			return nil, err
		}
		version := m.ReadVersion + int64(i) + 1
		list = append(list, events.Event{
			PipelineExecutionID: m.Task.PipelineExecutionID, TaskExecutionID: m.Task.ID, EventType: s.Transition.Event,
			Version: &version, EventData: db.JSON(data), WorkerID: s.Worker, Actor: db.Text(m.Actor),
		})
	}
	return list, nil
}
