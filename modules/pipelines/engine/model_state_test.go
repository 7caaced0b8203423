package engine_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

var bg = context.Background()

// model is what the database must hold for the runs of one round.
type model struct {
	s       *enginetest.Stack
	round   int
	defs    []*definition.Definition
	runs    []*modelRun
	workers []*modelWorker
	claims  []modelClaim // every claim there was, held or lost
}

type modelWorker struct {
	id      string
	expires dbtype.Time
	expired bool
	gone    bool // its tasks were taken back
}

type modelClaim struct {
	*pipelines.Claim
	task    *modelTask
	version int64
}

type modelRun struct {
	id      dbtype.ID
	key     string
	def     *definition.Definition
	status  pipelines.Status
	version int64
	tasks   map[string]*modelTask
	removed bool // its events
}

// modelTask is a task's row, and whether its time has come.
type modelTask struct {
	run        *modelRun
	id         dbtype.ID
	name       string
	def        *definition.Task
	status     tasks.Status
	sub        tasks.SubStatus
	version    int64
	attempt    int
	failures   int // since the run was last reopened
	recoveries int
	worker     string
	above      bool // Skipped because of a failure above
	late       bool // Ready, and not to be claimed for an hour
}

func newModel(t *rapid.T, s *enginetest.Stack, round int) *model {
	m := &model{s: s, round: round}
	m.defs = []*definition.Definition{drawModelDefinition(t, s), drawModelDefinition(t, s)}
	m.clear(t) // a round that failed has left its runs
	m.register(t)
	m.start(t)
	return m
}

// clear cancels every run that is open.
func (m *model) clear(t *rapid.T) {
	list, err := m.s.Pipelines.List(bg, engine.Filter{})
	for _, e := range list {
		if !e.Status.Terminal() {
			err = errors.Join(err, m.s.Engine.Cancel(bg, engine.ControlRequest{ID: e.ID}))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// end cancels what is open and sees that nothing is left to claim.
func (m *model) end(t *rapid.T) {
	m.clear(t)
	if n, err := m.s.Outbox.CountPending(bg); n != 0 || err != nil {
		t.Fatalf("%d outbox rows after all runs have ended (%v)", n, err)
	}
	m.verify(t)
}

func (m *model) run(t *rapid.T) *modelRun {
	if len(m.runs) == 0 {
		return nil
	}
	return rapid.SampledFrom(m.runs).Draw(t, "run")
}

// worker picks one; live: one whose lease has not expired.
func (m *model) worker(t *rapid.T, live bool) *modelWorker {
	list := m.workers
	if live {
		list = slices.DeleteFunc(slices.Clone(list), func(w *modelWorker) bool { return w.expired })
	}
	if len(list) == 0 {
		return nil
	}
	return rapid.SampledFrom(list).Draw(t, "worker")
}

// add enters a run that has been started.
func (m *model) add(t *rapid.T, id dbtype.ID, def *definition.Definition, key string) {
	r := &modelRun{id: id, key: key, def: def, status: pipelines.Running, version: 1, tasks: map[string]*modelTask{}}
	list, err := m.s.Tasks.ListByPipeline(bg, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range list {
		d, _ := def.Task(row.TaskName)
		r.tasks[row.TaskName] = &modelTask{
			run: r, id: row.ID, name: row.TaskName, def: d, status: tasks.NotStarted,
			version: 1,
		}
	}
	m.runs = append(m.runs, r)
	r.follow()
}

// due gives the tasks that a claim must take, in the outbox's order.
func (m *model) due(t *rapid.T, want outbox.ClaimFilter) []*modelTask {
	rows, err := m.s.Outbox.ListPending(bg, 0)
	if err != nil {
		t.Fatal(err)
	}
	var list []*modelTask
	for _, row := range rows {
		x := m.task(row.TaskExecutionID)
		if x == nil || x.late || !slices.Contains(want.Handlers, x.def.Uses) || !want.PipelineExecutionID.IsZero() &&
			x.run.id != want.PipelineExecutionID {
			continue
		}
		if list = append(list, x); len(list) == want.Limit {
			break
		}
	}
	return list
}

func (m *model) task(id dbtype.ID) *modelTask {
	for _, r := range m.runs {
		for _, x := range r.tasks {
			if x.id == id {
				return x
			}
		}
	}
	return nil
}

func (m *model) expire(t *rapid.T) {
	if w := m.worker(t, true); w != nil {
		w.expired = true
		err := m.s.DB.Transaction(bg, func(tx db.Tx) error {
			_, err := tx.Exec(`UPDATE {workers} SET lease_expires_at = $now WHERE id = $id`,
				db.Args{"id": w.id, "now": dbtype.NewTime(tx.Now.Add(-time.Second))})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (m *model) recover(t *rapid.T) {
	want := 0
	for _, w := range m.workers {
		if w.expired && !w.gone {
			w.gone = true
			for _, r := range m.runs {
				want += r.lose(w.id)
			}
		}
	}
	if got, err := m.s.Engine.Recover(bg); err != nil || got != want {
		t.Fatalf("recovered %d (%v), want %d", got, err, want)
	}
	m.workers = slices.DeleteFunc(m.workers,
		func(w *modelWorker) bool { return w.gone && rapid.Bool().Draw(t, "forget") })
}

func (m *model) annotate(t *rapid.T) {
	r := m.run(t)
	if r == nil {
		return
	}
	a := engine.Annotation{PipelineExecutionID: r.id, Data: dbtype.JSON(`{"note": "by hand"}`), Actor: "operator"}
	if x := r.tasks["t0"]; rapid.Bool().Draw(t, "about a task") {
		a = engine.Annotation{TaskExecutionID: x.id, Data: a.Data, Worker: "somebody"}
	}
	if err := m.s.Engine.Annotate(bg, a); r.removed != errors.Is(err, pipelines.ErrInvalidState) || !r.removed &&
		err != nil {
		t.Fatalf("annotate: %v; events removed: %v", err, r.removed)
	}
}

func (m *model) retention(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
		return
	}
	if _, err := m.s.Retention.RemoveEvents(bg, dbtype.NewTime(m.s.DB.Now().Add(time.Hour)), nil); err != nil {
		t.Fatal(err)
	}
	for _, r := range m.runs {
		r.removed = r.removed || r.status.Terminal()
	}
}

// modelRow is what the model and the database must agree on.
type modelRow struct {
	Status                                  string
	Sub                                     tasks.SubStatus
	Version                                 int64
	Attempt, Recoveries, Open, Unsuccessful int
	Worker                                  string
	Queued, Late, Removed, Above            bool
}

// check compares every row and the outbox, and has the history checked.
func (m *model) check(t *rapid.T) {
	want, got := map[string]modelRow{}, map[string]modelRow{}
	pending, err := m.s.Outbox.ListPending(bg, 0)
	if err != nil {
		t.Fatal(err)
	}
	queued := map[dbtype.ID]outbox.Entry{}
	for _, r := range pending {
		queued[r.TaskExecutionID] = r
	}
	for _, r := range m.runs {
		m.compare(t, r, queued, want, got)
	}
	for id := range queued {
		if m.task(id) == nil {
			t.Fatalf("an outbox row for %s, of no run of this round", id)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("rows (-model +database):\n%s", diff)
	}
	m.verify(t)
}

func (m *model) compare(t *rapid.T, r *modelRun, queued map[dbtype.ID]outbox.Entry, want, got map[string]modelRow) {
	e, err := m.s.Pipelines.Get(bg, r.id)
	if err != nil {
		t.Fatal(err)
	}
	list, err := m.s.Tasks.ListByPipeline(bg, r.id)
	if err != nil {
		t.Fatal(err)
	}
	open, unsuccessful := r.counts()
	want[r.id.String()] = modelRow{
		Status: string(r.status), Version: r.version, Open: open, Unsuccessful: unsuccessful,
		Removed: r.removed,
	}
	got[r.id.String()] = modelRow{
		Status: string(e.Status), Version: e.Version, Open: e.OpenTasks,
		Unsuccessful: e.UnsuccessfulTasks, Removed: e.EventsRemoved > 0,
	}
	for _, t := range list {
		x, name := r.tasks[t.TaskName], r.id.String()+" "+t.TaskName
		entry, isQueued := queued[t.ID]
		mustQueue := x.status == tasks.Ready && r.status == pipelines.Running
		want[name] = modelRow{
			Status: string(x.status), Sub: x.sub, Version: x.version, Attempt: x.attempt, Recoveries: x.recoveries,
			Open: r.open(x), Worker: x.worker,
			Queued: mustQueue, Late: mustQueue && x.late, Above: x.above,
		}
		got[name] = modelRow{
			Status: string(t.Status), Sub: t.SubStatus, Version: t.Version, Attempt: t.Attempt,
			Recoveries: t.Recoveries,
			Open:       t.RemainingDependencies, Worker: string(t.WorkerID), Queued: isQueued,
			Above: t.SkipReason == tasks.SkipUpstreamFailed,
			Late:  entry.AvailableAt.After(m.s.DB.Now().Add(time.Minute)),
		}
	}
}

func (m *model) verify(t *rapid.T) {
	var ids []dbtype.ID
	for _, r := range m.runs {
		ids = append(ids, r.id)
	}
	if len(ids) == 0 {
		return
	}
	if report, err := audit.New(m.s.DB).Verify(bg, audit.Options{IDs: ids}); err != nil || !report.OK() {
		t.Fatalf("verify (%v):\n%s", err, report)
	}
}
