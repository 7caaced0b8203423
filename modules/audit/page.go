package audit

import (
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// page is a range of pipeline executions with everything that belongs to them, read in one snapshot.
type page struct {
	g     *gorm.DB
	run   *run
	after any // the page begins after this id; nil: at the first
	upto  any // and ends with this one; nil: at the last
	only  dbtype.ID
	among []dbtype.ID // only these, in ascending order
	since dbtype.Time // only executions that are open, or were created or ended since; zero: all

	pipelines []*pipeline
	byID      map[dbtype.ID]*pipeline
	tasks     map[dbtype.ID]*task
	lost      map[dbtype.ID]*lost // by the id of a pipeline that does not exist
	sealed    bool                // some pipeline has a seal to check
}

// lost counts the rows that name a pipeline that does not exist.
type lost struct {
	tasks, events int
	first         []EventRef
}

func newPage(g *gorm.DB, r *run, after any) *page {
	return &page{
		g: g, run: r, after: after, byID: map[dbtype.ID]*pipeline{}, tasks: map[dbtype.ID]*task{},
		lost: map[dbtype.ID]*lost{},
	}
}

// table returns the quoted name of a table in the snapshot's tenant. The tenant's name may be a keyword.
func table(g *gorm.DB, name string) string {
	return `"` + strings.ReplaceAll(g.NamingStrategy.TableName(name), ".", `"."`) + `"`
}

// within returns the condition that a column of pipeline ids is in the page.
func (p *page) within(column string) (string, []any) {
	if !p.only.IsZero() {
		return column + " = ?", []any{p.only}
	}
	if len(p.among) > 0 {
		return column + " IN ?", []any{p.among}
	}
	if !p.since.IsZero() && len(p.pipelines) > 0 {
		ids := make([]dbtype.ID, len(p.pipelines)) // others are between them
		for i, x := range p.pipelines {
			ids[i] = x.id
		}
		return column + " IN ?", []any{ids}
	}
	var conditions []string
	var args []any
	if p.after != nil {
		conditions, args = append(conditions, column+" > ?"), append(args, p.after)
	}
	if p.upto != nil {
		conditions, args = append(conditions, column+" <= ?"), append(args, p.upto)
	}
	if conditions == nil {
		return "1 = 1", nil
	}
	return strings.Join(conditions, " AND "), args
}

// chosen returns the condition that an execution is selected.
func (p *page) chosen() (string, []any) {
	if p.since.IsZero() {
		return "1 = 1", nil
	}
	return "(status IN ('Running', 'Paused') OR completed_at >= ? OR created_at >= ?)", []any{p.since, p.since}
}

// loadPipelines reads the page's pipelines. The page ends at maxPipelinesPerPage, or where its pipelines exceed
// maxTasksPerPage together.
func (p *page) loadPipelines(maxPipelinesPerPage, maxTasksPerPage int) error {
	where, args := p.within("id")
	chosen, more := p.chosen()
	where, args = where+" AND "+chosen, append(args, more...)
	var bounds []any
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY id LIMIT %d", strings.Join(pipelineColumns, ", "),
		table(p.g, "pipeline_executions"), where, maxPipelinesPerPage)
	err := scan(p.g, pipelineColumns, query, args, func(r *rawRow) {
		p.pipelines = append(p.pipelines, readPipeline(r))
		bounds = append(bounds, r.cells[0].raw())
	})
	if err != nil {
		return fmt.Errorf("read pipeline executions: %w", err)
	}
	if len(bounds) == maxPipelinesPerPage {
		p.upto = bounds[len(bounds)-1]
	}
	keep := len(p.pipelines)
	if keep > 1 {
		if keep, err = p.fitting(maxTasksPerPage); err != nil {
			return err
		}
	}
	if keep < len(p.pipelines) {
		p.pipelines, p.upto = p.pipelines[:keep], bounds[keep-1]
	}
	for _, x := range p.pipelines {
		p.byID[x.id] = x
		p.sealed = p.sealed || x.digest != nil
	}
	return nil
}

// fitting returns how many of the page's pipelines, from the first, have at most maxTasksPerPage together; at least
// one.
func (p *page) fitting(maxTasksPerPage int) (int, error) {
	where, args := p.within("pipeline_execution_id")
	counts := map[dbtype.ID]int64{}
	columns := []string{"pipeline_execution_id", "count(*)"}
	query := fmt.Sprintf(
		"SELECT pipeline_execution_id, count(*) FROM %s WHERE %s GROUP BY pipeline_execution_id ORDER BY "+
			"pipeline_execution_id",
		table(p.g, "task_executions"), where)
	err := scan(p.g, columns, query, args, func(r *rawRow) { counts[r.id(0)] = r.number(1).v })
	if err != nil {
		return 0, fmt.Errorf("count tasks: %w", err)
	}
	sum := int64(0)
	for i, x := range p.pipelines {
		if sum += counts[x.id]; sum > int64(maxTasksPerPage) && i > 0 {
			return i, nil
		}
	}
	return len(p.pipelines), nil
}

// loadTasks reads the page's tasks with their outbox rows. A task with two outbox rows is read twice.
func (p *page) loadTasks() error {
	where, args := p.within("t.pipeline_execution_id")
	query := fmt.Sprintf(
		"SELECT %s FROM %s AS t LEFT JOIN %s AS o ON o.task_execution_id = t.id WHERE %s ORDER BY "+
			"t.pipeline_execution_id, t.task_name",
		strings.Join(taskColumns, ", "), table(p.g, "task_executions"), table(p.g, "task_outbox"), where)
	err := scan(p.g, taskColumns, query, args, func(r *rawRow) { p.addTask(readTask(r)) })
	if err != nil {
		return fmt.Errorf("read task executions: %w", err)
	}
	return nil
}

func (p *page) addTask(t *task) {
	p.run.report.OutboxRows += len(t.queued)
	if known, twice := p.tasks[t.id]; twice && !t.id.IsZero() {
		known.queued = append(known.queued, t.queued...)
		return
	}
	p.run.report.Tasks++
	x, ok := p.byID[t.pipelineID]
	if !ok || t.pipelineID.IsZero() {
		p.lose(t.pipelineID).tasks++
		return
	}
	p.tasks[t.id] = t
	x.tasks = append(x.tasks, t)
}

func (p *page) lose(id dbtype.ID) *lost {
	l, ok := p.lost[id]
	if !ok {
		l = &lost{}
		p.lost[id] = l
	}
	return l
}

// loadEvents reads the page's events in their order and adds each to the history of its task or pipeline.
func (p *page) loadEvents() error {
	where, args := p.within("pipeline_execution_id")
	columns := eventColumns
	if p.sealed {
		columns = sealColumns
	}
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY pipeline_execution_id, sequence_num",
		strings.Join(columns, ", "), table(p.g, "execution_events"), where)
	err := scan(p.g, columns, query, args, p.addEvent)
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return nil
}

func (p *page) addEvent(r *rawRow) {
	var e event
	pipelineID, taskID := readEvent(r, &e)
	p.run.report.Events++
	if r.bad != nil {
		p.run.add(Violation{
			Invariant: Data, PipelineExecutionID: pipelineID, TaskExecutionID: taskID,
			Found: fmt.Sprintf("event %d: %s", e.seq, strings.Join(r.bad, "; ")), Expected: "readable columns",
			Events: []EventRef{e.ref()},
		})
	}
	x, ok := p.byID[pipelineID]
	if !ok || pipelineID.IsZero() {
		l := p.lose(pipelineID)
		if l.events++; l.first == nil {
			l.first = []EventRef{e.ref()}
		}
		return
	}
	if x.digest != nil {
		x.digest.Add(e.sealed(r, taskID))
	}
	x.checkPastEnd(&e)
	if taskID.IsZero() {
		giveEvent(&x.history, &x.fold, &e, false)
		return
	}
	t, ok := p.tasks[taskID]
	if !ok || t.pipelineID != pipelineID {
		x.estrange(taskID, &e)
		return
	}
	giveEvent(&t.history, &t.fold, &e, true)
}

// giveEvent adds an event to a history. It reports an event whose type such a history may not hold.
func giveEvent(h *history, f fold, e *event, ofTask bool) {
	h.follow(e)
	_, known := required[e.typ]
	switch {
	case e.typ == events.Annotation:
		h.annotate(e)
	case !known:
		h.foreign(e, problem{
			I3, "an event of the unknown type " + short(string(e.typ)),
			"a type of the transition table",
		})
	case ofTask != strings.HasPrefix(string(e.typ), "task_"):
		h.foreign(e, problem{I3, fmt.Sprintf("%s among the events of a %s", e.typ, kindText(ofTask)), "an event of a " +
			kindText(ofTask)})
	default:
		h.take(f, e)
	}
}

func (x *pipeline) estrange(id dbtype.ID, e *event) {
	if x.foreignTasks == nil {
		x.foreignTasks = map[dbtype.ID]*foreignTask{}
	}
	s, ok := x.foreignTasks[id]
	if !ok {
		s = &foreignTask{first: e.ref()}
		x.foreignTasks[id] = s
	}
	s.events++
}

func kindText(task bool) string {
	if task {
		return "task"
	}
	return "pipeline"
}
