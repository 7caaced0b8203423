package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ErrIllegal means that the transition table does not allow a transition.
var ErrIllegal = errors.New("illegal transition")

// ErrClaimLost is the error of a write by a worker that no longer holds the task. The write changed nothing.
var ErrClaimLost = errors.New("claim lost: the worker no longer holds the task")

// ErrVersionConflict means that a row changed between the read and the write. The transaction is rolled back.
var ErrVersionConflict = errors.New("task changed since it was read")

// Change describes the changes of one task in one transaction: the transitions in order, each with the data of its
// event, and the resulting row. Its methods only change the value; package taskstore writes it to the database.
type Change struct {
	Task        Task             // the resulting row
	ReadVersion int64            // the version that was read; 0 for a row that does not exist yet
	Steps       []TransitionStep // at least one
	Actor       string           // who requested it; empty if nobody did
	// Holder and Since identify the claim that the row was under when it was read. Together with ReadVersion they are
	// the fence. The version alone is not enough: after the loss of commits, another claim of the task may have the
	// same version.
	Holder   dbtype.Text
	Since    dbtype.Time
	NoOutbox bool // the pipeline is not Running, so a task that becomes Ready gets no outbox row yet

	ReservedFor string // the worker that the pipeline execution is reserved for; empty if none

	failure error
}

// TransitionStep is one transition with the data of its event.
type TransitionStep struct {
	Transition Transition
	Data       any // the data of the event, such as ClaimedData; encoded as a JSON object
	Worker     dbtype.Text
}

// NewChange returns a change of a task as it was read, without steps.
func NewChange(t Task) *Change {
	return &Change{Task: t, ReadVersion: t.Version, Holder: t.WorkerID, Since: t.StartedAt}
}

// addStep appends a transition and increments the version. If the table does not allow the transition, it records
// ErrIllegal, which Apply returns.
func (m *Change) addStep(t Transition, data any) *Change {
	if !t.allows(m.Task.Status) && m.failure == nil {
		m.failure = fmt.Errorf("%w: %s of task %q, which is %s", ErrIllegal, t.Name, m.Task.TaskName, m.Task.Status)
	}
	m.Task.Status, m.Task.SubStatus = t.To, t.SubStatus
	m.Task.Version++
	m.Steps = append(m.Steps, TransitionStep{Transition: t, Data: data, Worker: m.Task.WorkerID})
	return m
}

// Attribute sets the worker that the event of the last step names. Use it if the step was caused by a worker other than
// the one in the row.
func (m *Change) Attribute(worker string) *Change {
	m.Steps[len(m.Steps)-1].Worker = dbtype.Text(worker)
	return m
}

// Spec describes a task to be created.
type Spec struct {
	ID, PipelineExecutionID dbtype.ID
	TaskName, Handler       string
	Queue                   string
	Priority                Priority
	Dependencies            []string
	TriggerRule             string
	MaxAttempts             int
	ContinueOnError         bool
}

// InitialRow returns the row that Create produces, without CreatedAt.
func (n *Spec) InitialRow() Task {
	t := n.beforeCreation()
	t.Status, t.Version = TransitionCreate.To, 1
	return t
}

func (n *Spec) beforeCreation() Task {
	return Task{
		ID: n.ID, PipelineExecutionID: n.PipelineExecutionID, TaskName: n.TaskName, Handler: n.Handler,
		Queue: n.Queue, Priority: n.Priority.Level(), MaxAttempts: n.MaxAttempts,
		RemainingDependencies: len(n.Dependencies),
	}
}

// Create returns a change that creates a task in status NotStarted.
func Create(n Spec, now dbtype.Time) *Change {
	m := NewChange(n.beforeCreation())
	m.Task.CreatedAt = now
	return m.addStep(TransitionCreate, CreatedData{
		n.TaskName, n.Handler, n.Queue, n.Priority, NameListOf(n.Dependencies), n.TriggerRule, n.MaxAttempts,
		n.ContinueOnError,
	})
}

// MarkReady makes a NotStarted task Ready, and due at once. The caller has found that its trigger rule and its
// condition hold.
func (m *Change) MarkReady(now dbtype.Time) *Change {
	return m.addStep(TransitionMarkReady, ReadyData{now})
}

// Skip ends a task whose trigger rule or condition is false. detail is the reason as text for people.
func (m *Change) Skip(reason SkipReason, rule, detail string, now dbtype.Time) *Change {
	m.Task.CompletedAt, m.Task.SkipReason = now, reason
	return m.addStep(TransitionSkip, SkippedData{reason, rule, detail})
}

// Claim assigns a Ready task to a worker. The caller has deleted its outbox row in the same transaction. A deferred
// task continues its attempt; any other task begins the next one. A worker that runs the task at once appends
// MarkStarted.
func (t Task) Claim(worker string, leaseExpires, now dbtype.Time) *Change {
	return NewChange(t).Claim(worker, leaseExpires, now)
}

// Claim is Task.Claim as a further step, for an eager claim: the task becomes Ready in the same transaction, and never
// gets an outbox row.
func (m *Change) Claim(worker string, leaseExpires, now dbtype.Time) *Change {
	deferred, before := m.Task.SubStatus == Deferred, m.Task.StartedAt
	if !deferred {
		m.Task.Attempt++
	}
	m.Task.WorkerID, m.Task.RetryAt, m.Task.StartedAt = dbtype.Text(worker), dbtype.Time{}, now
	m.addStep(TransitionClaim, ClaimedData{m.Task.Attempt, leaseExpires})
	if deferred {
		m.addStep(TransitionResume, ResumedData{since(before, now)})
	}
	return m
}

// MarkStarted records that the handler may run as soon as the transaction commits.
func (m *Change) MarkStarted() *Change {
	return m.addStep(TransitionMarkStarted, StartedData{m.Task.Attempt})
}

// Complete ends a running task with its output. exit is the exit code of its command; nil if it ran none.
func (t Task) Complete(output dbtype.JSON, exit *int, now dbtype.Time) *Change {
	m := NewChange(t)
	m.Task.Output, m.Task.Error, m.Task.CompletedAt = output, "", now
	m.Task.ErrorKind = ""
	return m.addStep(TransitionComplete, CompletedData{t.Attempt, since(t.StartedAt, now), ExitCodeOf(exit)})
}

// SkipRunning ends a running task as Skipped, because its command ended with one of its skip_exit_codes.
func (t Task) SkipRunning(exit int, rule string, now dbtype.Time) *Change {
	m := NewChange(t)
	m.Task.Error, m.Task.CompletedAt, m.Task.SkipReason = "", now, SkipExitCode
	m.Task.ErrorKind = ""
	skipped := SkippedData{SkipExitCode, rule, fmt.Sprintf("exit code %d", exit)}
	return m.addStep(SkipRunning, SkippedRunningData{skipped, t.Attempt, ExitCodeOf(&exit), since(t.StartedAt, now)})
}

// Fail ends a running task whose last attempt failed. exit is the exit code of its command; nil if there is none.
func (t Task) Fail(kind ErrorKind, text string, exit *int, now dbtype.Time) *Change {
	m := NewChange(t)
	m.Task.Error, m.Task.ErrorKind, m.Task.CompletedAt = dbtype.Text(text), kind, now
	return m.addStep(TransitionFail, FailedData{t.Attempt, text, kind, since(t.StartedAt, now), ExitCodeOf(exit)})
}

// ScheduleRetry makes a running task Ready again after its attempt failed. Its outbox row becomes due after the delay.
func (t Task) ScheduleRetry(kind ErrorKind, text string, exit *int, delay time.Duration, now dbtype.Time) *Change {
	m := NewChange(t)
	at := dbtype.NewTime(now.Add(delay))
	m.Task.Error, m.Task.ErrorKind, m.Task.RetryAt = dbtype.Text(text), kind, at
	m.addStep(TransitionScheduleRetry, RetryScheduledData{
		t.Attempt, t.Attempt + 1, text, kind, delay.Milliseconds(), at, ExitCodeOf(exit),
	})
	m.Task.WorkerID = ""
	return m
}

// Defer makes a running task Ready again at the request of its handler, due at until. Until the next claim, StartedAt
// is the time of the deferral.
func (t Task) Defer(until dbtype.Time, reason string, now dbtype.Time) *Change {
	m := NewChange(t)
	m.Task.RetryAt, m.Task.StartedAt = until, now
	m.addStep(TransitionDefer, DeferredData{t.Attempt, until, reason})
	m.Task.WorkerID = ""
	return m
}

// Recover makes a running task Ready again after the lease of its worker expired.
func (t Task) Recover(now dbtype.Time) *Change {
	m := NewChange(t)
	m.Task.Recoveries++
	m.Task.WorkerID = ""
	return m.addStep(TransitionReset, ResetData{
		Cause: CauseLeaseExpired, Worker: t.WorkerID, Recoveries: m.Task.Recoveries, AvailableAt: now,
	})
}

// Release makes a running task Ready again because its worker stops before the task ends. The attempt counts neither
// against MaxAttempts nor as a recovery.
func (t Task) Release(reason string, now dbtype.Time) *Change {
	m := NewChange(t)
	m.Task.MaxAttempts++
	m.addStep(TransitionReset, ResetData{
		Cause: CauseOperator, Worker: t.WorkerID, Recoveries: t.Recoveries, Reason: reason,
		MaxAttempts: m.Task.MaxAttempts, AvailableAt: now,
	})
	m.Task.WorkerID = ""
	return m
}

// Reopen makes a terminal task NotStarted for an operator's retry. It clears the output and the error, and allows
// maxAttempts further attempts.
func (t Task) Reopen(maxAttempts, remaining int) *Change {
	m := NewChange(t)
	m.Task.MaxAttempts, m.Task.Recoveries, m.Task.RemainingDependencies = t.Attempt+maxAttempts, 0, remaining
	m.Task.WorkerID, m.Task.Error, m.Task.RetryAt, m.Task.CompletedAt = "", "", dbtype.Time{}, dbtype.Time{}
	m.Task.SkipReason, m.Task.Output, m.Task.ErrorKind = NoSkipReason, nil, ""
	return m.addStep(TransitionReopen, ResetData{Cause: CauseOperator, Recoveries: 0, MaxAttempts: m.Task.MaxAttempts})
}

// Abandon ends a task that cannot be run.
func (m *Change) Abandon(reason string, now dbtype.Time) *Change {
	had := m.Task.WorkerID
	m.Task.Error, m.Task.CompletedAt, m.Task.WorkerID, m.Task.RetryAt = dbtype.Text(reason), now, "", dbtype.Time{}
	m.Task.ErrorKind = ""
	return m.addStep(TransitionAbandon, EndedData{Reason: reason, Worker: had})
}

// AbandonAs is Abandon for a reason that is an error of the given kind.
func (m *Change) AbandonAs(kind ErrorKind, reason string, now dbtype.Time) *Change {
	had := m.Task.WorkerID
	m.Abandon(reason, now)
	m.Task.ErrorKind = kind
	m.Steps[len(m.Steps)-1].Data = EndedData{Reason: reason, Worker: had, ErrorKind: kind}
	return m
}

// Cancel ends a task because its pipeline execution is cancelled.
func (t Task) Cancel(reason string, now dbtype.Time) *Change {
	m := NewChange(t)
	m.Task.CompletedAt, m.Task.WorkerID, m.Task.RetryAt = now, "", dbtype.Time{}
	m.Task.RemainingDependencies = 0 // the dependencies end in the same transaction
	return m.addStep(TransitionCancel, EndedData{Reason: reason, Worker: t.WorkerID})
}

func since(from, to dbtype.Time) int64 {
	if from.IsZero() {
		return 0
	}
	return max(0, to.Sub(from.Time).Milliseconds())
}

// EventDataCache caches encoded event data by value, because most events of a large transaction have the same data.
type EventDataCache map[any]json.RawMessage

func (e EventDataCache) of(s *TransitionStep) (json.RawMessage, error) {
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

// Err returns ErrIllegal if the transition table does not allow one of the steps.
func (m *Change) Err() error { return m.failure }

// WritesRemaining reports whether the change writes the remaining dependencies with the row. If it does not, they must
// be counted separately.
func (m *Change) WritesRemaining() bool {
	return m.ReadVersion == 0 ||
		slices.ContainsFunc(m.Steps, func(s TransitionStep) bool { return s.Transition.WritesRemaining })
}

// AppendEvents appends the events of the change to list and returns it.
func (m *Change) AppendEvents(list []events.Event, known EventDataCache) ([]events.Event, error) {
	for i := range m.Steps {
		s := &m.Steps[i]
		data, err := known.of(s)
		if err != nil {
			return nil, err
		}
		version := m.ReadVersion + int64(i) + 1
		list = append(list, events.Event{
			PipelineExecutionID: m.Task.PipelineExecutionID, TaskExecutionID: m.Task.ID, EventType: s.Transition.Event,
			Version: &version, EventData: dbtype.JSON(data), WorkerID: s.Worker, Actor: dbtype.Text(m.Actor),
		})
	}
	return list, nil
}
