package archive

import (
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// The tables of an export. Left out is what has a meaning only in the database that it comes from.
var (
	definitionTable = db.ModelOf[engine.StoredDefinition]("pipeline_definitions")
	executionTable  = db.ModelOf[pipelines.Execution]("pipeline_executions").Without("reserved_for", "seal_due")
	labelTable      = db.ModelOf[label]("execution_labels")
	taskTable       = db.ModelOf[tasks.Task]("task_executions")
	eventTable      = db.ModelOf[events.Event]("execution_events")
	outboxTable     = db.ModelOf[queued]("task_outbox")
	logTable        = db.ModelOf[tasks.Chunk]("log_chunks")
)

// label is the row of a label of an execution.
type label struct {
	Name, Value         string
	PipelineExecutionID dbtype.ID
}

// write inserts the rows as they are in the file. It never changes existing rows.
func (b *batch) write(tx db.Tx, base int64) error {
	if err := free(tx, b.executions); err != nil {
		return fmt.Errorf("import executions: %w", err)
	}
	to := tx.Batch()
	b.writeDefinitions(to)
	executionTable.Insert(to, "import executions", b.executions)
	labelTable.Insert(to, "import labels", labelsOf(b.executions))
	taskTable.Insert(to, "import tasks", b.tasks)
	abandonOpen(to, b.tasks)
	if len(b.events) > 0 {
		tx.CommitProbe("execution_events", "pipeline_execution_id", b.events[0].PipelineExecutionID, b.events[0].ID)
	}
	for _, e := range b.events {
		e.SequenceNum += base
	}
	eventTable.Insert(to, "import events", b.events)
	outboxTable.Insert(to, "import the outbox", b.outbox)
	logTable.Insert(to, "import logs", b.logs)
	return to.Send()
}

// writeDefinitions inserts definitions, and keeps those that exist.
func (b *batch) writeDefinitions(to *db.Batch) {
	for _, d := range b.definitions {
		d.RegisteredAt = b.registeredAt(d, to.Tx().Now)
	}
	statement, args := definitionTable.InsertSQL(b.definitions)
	to.Exec("import definitions", statement+` ON CONFLICT (pipeline_name, version) DO NOTHING`, args)
}

func labelsOf(list []*pipelines.Execution) (rows []*label) {
	for _, e := range list {
		for name, value := range e.Labels {
			rows = append(rows, &label{name, value, e.ID})
		}
	}
	return rows
}

// abandonOpen inserts the workers that hold imported running tasks, with an expired lease. Those workers run elsewhere.
// The recovery that every worker performs then takes the tasks back, with an event, before they run again.
func abandonOpen(to *db.Batch, list []*tasks.Task) {
	seen := map[string]bool{}
	var names []string
	for _, t := range list {
		if name := string(t.WorkerID); t.Status == tasks.Running && name != "" && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	to.Exec("import workers", `INSERT INTO {workers} (id, hostname, pid, slots, handlers, started_at, lease_expires_at)
SELECT x.id, 'imported', 0, 0, '', $now, $now FROM $x WHERE true ON CONFLICT (id) DO NOTHING`,
		db.Args{"x": db.NewRowSet(len(names)).Texts("id", names), "now": to.Tx().Now})
}
