package retention

import (
	"bytes"
	"context"
	"slices"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// store contains the SQL statements of retention. Only this type deletes from the history, and only from ended
// executions.
type store struct {
	db *db.DB
}

// wanted is, for each kind, the condition that an ended execution p still has data of that kind to remove, so that a
// pass does not find again what an earlier one has processed. An execution that was retried after the removal of its
// outputs or logs has new ones. A pending seal needs events and outputs. events_removed stays 0 if no event was left to
// remove, because something else had deleted them.
var wanted = map[Kind]string{
	Executions: `1 = 1`,
	Events: `p.events_removed = 0 AND p.seal_due = 0 AND EXISTS (
  SELECT 1 FROM {execution_events} AS e WHERE e.pipeline_execution_id = p.id AND ` + removable + `)`,
	Outputs: `(p.outputs_removed_at IS NULL OR p.outputs_removed_at < p.completed_at) AND p.seal_due = 0`,
	Logs:    `(p.logs_removed_at IS NULL OR p.logs_removed_at < p.completed_at)`,
}

// removable is the condition that retention removes an event e. Annotations written after the cutoff are kept.
const removable = `(e.version IS NOT NULL OR e.created_at < x.cutoff)`

const ended = `p.status IN ('Completed', 'Failed', 'Cancelled')`

// counting is, for each kind, the expression for the number of rows of an execution p.
var counting = map[Kind]string{
	Executions: `1`,
	Events: `(SELECT count(*) FROM {execution_events} AS e
  WHERE e.pipeline_execution_id = p.id AND ` + removable + `)`,
	Outputs: `(SELECT count(*) FROM {task_executions} AS t WHERE t.pipeline_execution_id = p.id
  AND t.output IS NOT NULL)`,
	Logs: `(SELECT count(*) FROM {task_executions} AS t JOIN {log_chunks} AS l ON l.task_execution_id = t.id
  WHERE t.pipeline_execution_id = p.id)`,
}

// candidate is an execution with data to remove.
type candidate struct {
	id       dbtype.ID
	version  int64 // when found; if it has changed since, the execution is skipped
	pipeline string
	cutoff   dbtype.Time
	tasks    int64
}

// pipelines returns the names of all pipelines with executions.
func (s *store) pipelines(ctx context.Context) ([]string, error) {
	var names []string
	err := s.db.Query(ctx, `SELECT DISTINCT pipeline_name FROM {pipeline_executions}`, nil,
		func(scan db.Scan) error {
			names = append(names, "")
			return scan(&names[len(names)-1])
		})
	return names, db.Wrap("list the pipelines of executions", err)
}

func setOf(list []cutoff) *db.RowSet {
	names, at := make([]string, len(list)), make([]dbtype.Time, len(list))
	for i, c := range list {
		names[i], at[i] = c.pipeline, c.at
	}
	return db.NewRowSet(len(list)).Texts("name", names).Times("cutoff", at)
}

// count returns, for each pipeline, how many executions and rows a removal of the kind would affect.
func (s *store) count(ctx context.Context, kind Kind, list []cutoff) (out []Result, err error) {
	err = s.db.Query(ctx, `SELECT c.name, count(*), CAST(sum(c.n) AS bigint) FROM (
  SELECT x.name, `+counting[kind]+` AS n FROM $x JOIN {pipeline_executions} AS p ON p.pipeline_name = x.name
  WHERE `+ended+` AND p.completed_at < x.cutoff AND `+wanted[kind]+`) AS c WHERE c.n > 0 GROUP BY c.name`,
		db.Args{"x": setOf(list)}, func(scan db.Scan) error {
			r := Result{Kind: kind}
			err := scan(&r.PipelineName, &r.Executions, &r.Rows)
			out = append(out, r)
			return err
		})
	return out, db.Wrap("count old "+string(kind), err)
}

// candidates returns the next executions, by id, that have data of the kind to remove. It takes no locks.
func (s *store) candidates(
	ctx context.Context, kind Kind, list []cutoff, after dbtype.ID,
) (found []candidate, err error) {
	beyond := ""
	if !after.IsZero() {
		beyond = `p.id > $after AND `
	}
	err = s.db.Query(ctx, `SELECT p.id, p.version, p.pipeline_name, x.cutoff,
  (SELECT count(*) FROM {task_executions} AS t WHERE t.pipeline_execution_id = p.id)
FROM {pipeline_executions} AS p JOIN $x ON x.name = p.pipeline_name
WHERE `+beyond+ended+` AND p.completed_at < x.cutoff AND `+wanted[kind]+` ORDER BY p.id LIMIT $limit`,
		db.Args{"x": setOf(list), "after": after, "limit": executionsPerBatch}, func(scan db.Scan) error {
			var c candidate
			err := scan(&c.id, &c.version, &c.pipeline, &c.cutoff, &c.tasks)
			found = append(found, c)
			return err
		})
	// A long list of pipelines is queried in parts, and each part returns its own first rows.
	slices.SortFunc(found, func(a, b candidate) int { return bytes.Compare(a.id[:], b.id[:]) })
	found = found[:min(len(found), executionsPerBatch)]
	return found, db.Wrap("find old "+string(kind), err)
}

// lock locks the rows of the candidates and returns those whose version is unchanged.
func (s *store) lock(tx db.Tx, list []candidate) ([]candidate, error) {
	ids := make([]dbtype.ID, len(list))
	for i, c := range list {
		ids[i] = c.id
	}
	versions := map[dbtype.ID]int64{}
	err := tx.Query(`SELECT p.id, p.version FROM {pipeline_executions} AS p WHERE p.id IN (SELECT id FROM $x) AND `+
		ended+` ORDER BY p.id $for_update`,
		db.Args{"x": db.IDRows(ids)}, func(scan db.Scan) error {
			var id dbtype.ID
			var version int64
			err := scan(&id, &version)
			versions[id] = version
			return err
		})
	var held []candidate
	for _, c := range list {
		if versions[c.id] == c.version {
			held = append(held, c)
		}
	}
	return held, db.Wrap("lock ended executions", err)
}

// remove removes a kind of data from locked executions and returns the number of rows removed from each.
func (s *store) remove(tx db.Tx, kind Kind, list []candidate) (rows map[dbtype.ID]int64, err error) {
	ids, cutoffs := make([]dbtype.ID, len(list)), make([]dbtype.Time, len(list))
	for i, c := range list {
		ids[i], cutoffs[i] = c.id, c.cutoff
	}
	args := db.Args{"x": db.IDRows(ids).Times("cutoff", cutoffs), "now": tx.Now}
	if kind == Executions {
		if _, err := tx.Exec(noting, args); err != nil {
			return nil, db.Wrap("note what is removed", err)
		}
	}
	rows = make(map[dbtype.ID]int64, len(ids))
	for _, statement := range removing[kind] {
		err := tx.Query(statement, args, func(scan db.Scan) error {
			var id dbtype.ID
			err := scan(&id)
			rows[id]++
			return err
		})
		if err != nil {
			return nil, db.Wrap("remove old "+string(kind), err)
		}
	}
	if kind == Executions {
		for _, id := range ids {
			rows[id] = 1
		}
		return rows, nil
	}
	counts := make([]int64, len(ids))
	for i, id := range ids {
		counts[i] = rows[id]
	}
	_, err = tx.Exec(`UPDATE {pipeline_executions} AS p SET `+marking[kind]+` FROM $x WHERE p.id = x.id`,
		db.Args{"x": db.IDRows(ids).Ints("n", counts), "now": tx.Now})
	return rows, db.Wrap("mark executions", err)
}

// noting records the highest sequence number among the events of executions that are removed whole, so that readers
// of the tail can detect the gap.
const noting = `UPDATE {removed_events} SET up_to = n.up_to FROM (
  SELECT max(e.sequence_num) AS up_to FROM $x JOIN {execution_events} AS e ON e.pipeline_execution_id = x.id) AS n
WHERE {removed_events}.up_to < n.up_to`

const removeLogs = `DELETE FROM {log_chunks} WHERE task_execution_id IN (
  SELECT t.id FROM $x JOIN {task_executions} AS t ON t.pipeline_execution_id = x.id)
RETURNING (SELECT t.pipeline_execution_id FROM {task_executions} AS t WHERE t.id = task_execution_id)`

// lockTasks locks the rows of the tasks, so that no worker writes logs of a removed task: a late write locks the row
// too.
const lockTasks = `SELECT t.pipeline_execution_id FROM {task_executions} AS t
  WHERE t.pipeline_execution_id IN (SELECT id FROM $x) ORDER BY t.id $for_update`

// removing lists the statements of each kind, in order. Each returns the execution of every row that it removed. The
// events are those for which removable holds.
var removing = map[Kind][]string{
	Events: {`DELETE FROM {execution_events} WHERE (version IS NOT NULL OR created_at < (SELECT x.cutoff FROM $x
  WHERE x.id = pipeline_execution_id))
  AND pipeline_execution_id IN (SELECT id FROM $x) RETURNING pipeline_execution_id`},
	Outputs: {`UPDATE {task_executions} SET output = NULL WHERE output IS NOT NULL
  AND pipeline_execution_id IN (SELECT id FROM $x)
RETURNING pipeline_execution_id`},
	Logs: {removeLogs},
	Executions: {
		lockTasks,
		removeLogs,
		`DELETE FROM {execution_events} WHERE pipeline_execution_id IN (SELECT id FROM $x)
  RETURNING pipeline_execution_id`,
		`DELETE FROM {task_executions} WHERE pipeline_execution_id IN (SELECT id FROM $x)
  RETURNING pipeline_execution_id`,
		`DELETE FROM {execution_labels} WHERE pipeline_execution_id IN (SELECT id FROM $x)
  RETURNING pipeline_execution_id`,
		`DELETE FROM {pipeline_executions} WHERE id IN (SELECT id FROM $x) RETURNING id`,
	},
}

// marking is, for each kind, the assignment that records the removal in the execution's row.
var marking = map[Kind]string{
	Events:  `events_removed = x.n`,
	Outputs: `outputs_removed_at = $now`,
	Logs:    `logs_removed_at = $now`,
}
