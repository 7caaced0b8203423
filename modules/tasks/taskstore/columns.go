package taskstore

import (
	"strconv"
	"strings"
	"sync"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// column is a column that a transition may write, apart from status, sub_status and version. add adds its values to a
// row set; nil means that the column is set to NULL.
type column struct {
	name string
	add  func(s *db.RowSet, name string, moves []*tasks.Change)
}

func texts(get func(*tasks.Task) string) func(*db.RowSet, string, []*tasks.Change) {
	return func(s *db.RowSet, name string, moves []*tasks.Change) {
		v := make([]string, len(moves))
		for i, m := range moves {
			v[i] = get(&m.Task)
		}
		s.NullTexts(name, v)
	}
}

func ints(get func(*tasks.Task) int) func(*db.RowSet, string, []*tasks.Change) {
	return func(s *db.RowSet, name string, moves []*tasks.Change) {
		v := make([]int64, len(moves))
		for i, m := range moves {
			v[i] = int64(get(&m.Task))
		}
		s.Ints(name, v)
	}
}

func times(get func(*tasks.Task) dbtype.Time) func(*db.RowSet, string, []*tasks.Change) {
	return func(s *db.RowSet, name string, moves []*tasks.Change) {
		v := make([]dbtype.Time, len(moves))
		for i, m := range moves {
			v[i] = get(&m.Task)
		}
		s.Times(name, v)
	}
}

var (
	attempt     = column{"attempt", ints(func(t *tasks.Task) int { return t.Attempt })}
	maxAttempts = column{"max_attempts", ints(func(t *tasks.Task) int { return t.MaxAttempts })}
	remaining   = column{"remaining_dependencies", ints(func(t *tasks.Task) int { return t.RemainingDependencies })}
	workerID    = column{"worker_id", texts(func(t *tasks.Task) string { return string(t.WorkerID) })}
	retryAt     = column{"retry_at", times(func(t *tasks.Task) dbtype.Time { return t.RetryAt })}
	recoveries  = column{"recoveries", ints(func(t *tasks.Task) int { return t.Recoveries })}
	errorText   = column{"error", texts(func(t *tasks.Task) string { return string(t.Error) })}
	errorKind   = column{"error_kind", texts(func(t *tasks.Task) string { return string(t.ErrorKind) })}
	noErrorKind = column{name: "error_kind"} // set to NULL
	startedAt   = column{"started_at", times(func(t *tasks.Task) dbtype.Time { return t.StartedAt })}
	skipReason  = column{"skip_reason", texts(func(t *tasks.Task) string { return string(t.SkipReason) })}
	completedAt = column{"completed_at", times(func(t *tasks.Task) dbtype.Time { return t.CompletedAt })}
	output      = column{"output", func(s *db.RowSet, name string, moves []*tasks.Change) {
		v := make([]string, len(moves))
		for i, m := range moves {
			v[i] = string(m.Task.Output)
		}
		s.JSONs(name, v)
	}}
)

// columnsWritten lists the columns that each transition writes, apart from status, sub_status and version. A creation
// writes complete rows.
var columnsWritten = map[string][]column{
	tasks.TransitionMarkReady.Name:     {remaining},
	tasks.TransitionClaim.Name:         {attempt, workerID, retryAt, startedAt},
	tasks.TransitionResume.Name:        {},
	tasks.TransitionMarkStarted.Name:   {},
	tasks.TransitionDefer.Name:         {workerID, retryAt, startedAt},
	tasks.TransitionComplete.Name:      {output, errorText, noErrorKind, completedAt},
	tasks.TransitionScheduleRetry.Name: {workerID, retryAt, errorText, errorKind},
	tasks.TransitionFail.Name:          {errorText, errorKind, completedAt},
	tasks.TransitionSkip.Name:          {remaining, completedAt, skipReason},
	tasks.SkipRunning.Name:             {errorText, noErrorKind, completedAt, skipReason},
	tasks.TransitionReset.Name:         {workerID, retryAt, recoveries, maxAttempts},
	tasks.TransitionReopen.Name: {
		workerID, retryAt, recoveries, maxAttempts, remaining, errorText, errorKind,
		completedAt, skipReason, output,
	},
	tasks.TransitionAbandon.Name: {workerID, retryAt, errorText, errorKind, completedAt, remaining},
	tasks.TransitionCancel.Name:  {workerID, retryAt, completedAt, remaining},
}

// update is the statement for all changes with the same transitions.
type update struct {
	sql     string
	columns []column
	fenced  bool // it ends a claim, so the row must still be under that claim
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
	seen := map[string]bool{}
	last := steps[len(steps)-1].Transition
	sub := "NULL"
	if last.SubStatus != tasks.NoSubStatus {
		sub = "'" + string(last.SubStatus) + "'"
	}
	var set strings.Builder
	set.WriteString("status = '" + string(last.To) + "', sub_status = " + sub + ", version = x.version + " +
		strconv.Itoa(len(steps)))
	for _, s := range steps {
		for _, c := range columnsWritten[s.Transition.Name] {
			if !seen[c.name] {
				seen[c.name] = true
				if c.add == nil {
					set.WriteString(", " + c.name + " = NULL")
					continue
				}
				u.columns = append(u.columns, c)
				set.WriteString(", " + c.name + " = x." + c.name)
			}
		}
	}
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
