package taskstore

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// table is the table of the tasks. Rows are loaded without their outputs, which may be large.
var (
	table  = db.ModelOf[tasks.Task]("task_executions")
	loaded = table.Without("output")
	fields = loaded.Columns("t")
)

// columnsWritten lists the columns that each transition writes, apart from status, sub_status and version. A creation
// writes complete rows.
var columnsWritten = map[string][]string{
	tasks.TransitionMarkReady.Name:     {"remaining_dependencies"},
	tasks.TransitionClaim.Name:         {"attempt", "worker_id", "retry_at", "started_at"},
	tasks.TransitionResume.Name:        {},
	tasks.TransitionMarkStarted.Name:   {},
	tasks.TransitionDefer.Name:         {"worker_id", "retry_at", "started_at"},
	tasks.TransitionComplete.Name:      {"output", "error", "error_kind", "completed_at"},
	tasks.TransitionScheduleRetry.Name: {"worker_id", "retry_at", "error", "error_kind"},
	tasks.TransitionFail.Name:          {"error", "error_kind", "completed_at"},
	tasks.TransitionSkip.Name:          {"remaining_dependencies", "completed_at", "skip_reason"},
	tasks.SkipRunning.Name:             {"error", "error_kind", "completed_at", "skip_reason"},
	tasks.TransitionReset.Name:         {"worker_id", "retry_at", "recoveries", "max_attempts"},
	tasks.TransitionReopen.Name: {
		"worker_id", "retry_at", "recoveries", "max_attempts", "remaining_dependencies", "error", "error_kind",
		"completed_at", "skip_reason", "output",
	},
	tasks.TransitionAbandon.Name: {
		"worker_id", "retry_at", "error", "error_kind", "completed_at", "remaining_dependencies",
	},
	tasks.TransitionCancel.Name: {"worker_id", "retry_at", "completed_at", "remaining_dependencies"},
}

// update is the statement for all changes with the same transitions.
type update struct {
	sql     string
	columns *db.Model[tasks.Task] // the columns that it writes
	fenced  bool                  // it ends a claim, so the row must still be under that claim
}

var updateCache sync.Map // the joined names of the steps to *update

// updateFor returns the statement for the steps of a change: one update that requires the version that was read, and
// increments it by one for each step.
func updateFor(steps []tasks.TransitionStep) *update {
	var names strings.Builder
	for _, s := range steps {
		names.WriteString(s.Transition.Name + ",")
	}
	if u, ok := updateCache.Load(names.String()); ok {
		return u.(*update)
	}
	u := &update{}
	last := steps[len(steps)-1].Transition
	sub := "NULL"
	if last.SubStatus != tasks.NoSubStatus {
		sub = "'" + string(last.SubStatus) + "'"
	}
	var set strings.Builder
	set.WriteString("status = '" + string(last.To) + "', sub_status = " + sub + ", version = x.version + " +
		strconv.Itoa(len(steps)))
	var written []string
	for _, s := range steps {
		for _, c := range columnsWritten[s.Transition.Name] {
			if !slices.Contains(written, c) {
				written = append(written, c)
				set.WriteString(", " + c + " = x." + c)
			}
		}
	}
	u.columns = table.Only(written...)
	fence := ""
	if from := steps[0].Transition.From; len(from) == 1 && from[0] == tasks.Running {
		// With a plain condition on a value that all rows share, SQLite would read the whole table
		// (TestUpdatesFindRowsByKey).
		u.fenced, fence = true, " AND COALESCE(t.worker_id, '') = $holder AND t.started_at = x.since"
	}
	u.sql = "UPDATE {task_executions} AS t SET " + set.String() +
		" FROM $x WHERE t.id = x.id AND t.version = x.version" + fence + " $keep_plan_of_one"
	stored, _ := updateCache.LoadOrStore(names.String(), u)
	return stored.(*update)
}
