package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Filter selects executions. A zero field does not restrict the selection.
type Filter struct {
	PipelineName string
	Statuses     []pipelines.Status // any of these
	Since, Until dbtype.Time        // created at or after Since, and before Until
	Error        string             // substring of the error, ignoring case
	Labels       map[string]string  // all of these
	Before       dbtype.ID          // only executions with a lower id, which are older
	Limit        int                // 0: no limit
}

// clockSkew is the maximum difference between the clock of a process that starts runs and the database's clock. Ids
// contain the time of the former, and created_at the time of the latter. A filter by time also restricts the ids, so
// that the primary key is used.
const clockSkew = time.Hour

// The conditions of the partial indexes. The text is exactly that of the indexes, because otherwise SQLite does not use
// them.
const (
	open         = `p.status IN ('Running', 'Paused')`
	ended        = `p.status IN ('Completed', 'Failed', 'Cancelled')`
	unsuccessful = `p.status IN ('Failed', 'Cancelled')`
	fromLabels   = `{execution_labels} AS l JOIN {pipeline_executions} AS p ON p.id = l.pipeline_execution_id`
	all          = `{pipeline_executions} AS p`
)

// branch is the part of a filter's selection that one index finds. Its order is newest first.
type branch struct {
	from, where, order string
}

// branches splits the selection into parts that one index each finds: by a label; by pipeline and status for ended
// executions of a pipeline; by status if that excludes Completed; otherwise by id. A count needs no order, so it also
// uses the index by pipeline and status.
func (f Filter) branches(counted bool) []branch {
	statuses := f.Statuses
	if len(statuses) == 0 {
		statuses = pipelines.Statuses()
	}
	if f.Error != "" {
		// only Failed executions have an error
		statuses = slices.DeleteFunc(slices.Clone(statuses),
			func(s pipelines.Status) bool { return s != pipelines.Failed })
	}
	chosen := func(of ...pipelines.Status) []pipelines.Status {
		return slices.DeleteFunc(of, func(s pipelines.Status) bool { return !slices.Contains(statuses, s) })
	}
	var list []branch
	add := func(condition string, of []pipelines.Status) {
		if len(of) > 0 {
			list = append(list, branch{all, condition + statusIn(of), `p.id`})
		}
	}
	switch {
	case len(f.Labels) > 0 && len(statuses) > 0:
		return []branch{{fromLabels, `l.name = $label0 AND l.value = $value0` +
			statusIn(statuses), `l.pipeline_execution_id`}}
	case f.PipelineName != "":
		add(open, chosen(pipelines.Running, pipelines.Paused))
		for _, s := range chosen(pipelines.Completed, pipelines.Failed, pipelines.Cancelled) {
			add(ended, []pipelines.Status{s})
		}
	case counted && f.Since.IsZero() && f.Until.IsZero() && f.Before.IsZero():
		add(open, chosen(pipelines.Running, pipelines.Paused))
		add(ended, chosen(pipelines.Completed, pipelines.Failed, pipelines.Cancelled))
	case slices.Contains(statuses, pipelines.Completed):
		add(`true`, statuses)
	default:
		add(open, chosen(pipelines.Running, pipelines.Paused))
		add(unsuccessful, chosen(pipelines.Failed, pipelines.Cancelled))
	}
	return list
}

// statusIn returns the SQL condition that the status is one of a list. The statuses are constants of this package, so
// they need no escaping.
func statusIn(statuses []pipelines.Status) string {
	switch len(statuses) {
	case len(pipelines.Statuses()):
		return ""
	case 1:
		return ` AND p.status = '` + string(statuses[0]) + `'`
	}
	words := make([]string, len(statuses))
	for i, s := range statuses {
		words[i] = `'` + string(s) + `'`
	}
	return ` AND p.status IN (` + strings.Join(words, ", ") + `)`
}

// condition returns the SQL condition that all branches share, and its arguments. id is the id column that the branch
// is ordered by.
func (f Filter) condition(id string) (string, db.Args) {
	text, args := "", db.Args{}
	add := func(name, condition string, value any) { text, args[name] = text+` AND `+condition, value }
	if f.PipelineName != "" {
		add("pipeline", `p.pipeline_name = $pipeline`, f.PipelineName)
	}
	if !f.Before.IsZero() {
		add("before", id+` < $before`, f.Before)
	}
	if !f.Since.IsZero() {
		add("since", `p.created_at >= $since`, f.Since)
		add("first", id+` >= $first`, dbtype.FirstIDAt(f.Since.Add(-clockSkew)))
	}
	if !f.Until.IsZero() {
		add("until", `p.created_at < $until`, f.Until)
		add("last", id+` < $last`, dbtype.FirstIDAt(f.Until.Add(clockSkew)))
	}
	if f.Error != "" {
		add("error", `lower(p.error) LIKE $error ESCAPE '!'`, likePart(strings.ToLower(f.Error)))
	}
	for i, name := range slices.Sorted(maps.Keys(f.Labels)) {
		label, value := fmt.Sprintf("label%d", i), fmt.Sprintf("value%d", i)
		args[label], args[value] = name, f.Labels[name]
		if i > 0 {
			text += ` AND EXISTS (SELECT 1 FROM {execution_labels} AS m WHERE m.name = $` + label + ` AND m.value = $` +
				value + ` AND m.pipeline_execution_id = p.id)`
		}
	}
	return text, args
}

// likePart returns the LIKE pattern, with escape character '!', for text that contains s.
func likePart(s string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s) + "%"
}

// query returns the statement that selects columns of the executions. With a limit, each branch returns its newest rows
// up to the limit, and the caller must sort and limit the union. Without a limit the rows are not sorted.
func (f Filter) query(columns string) (string, db.Args) {
	var args db.Args
	var parts []string
	for _, b := range f.branches(f.Limit == 0) {
		var more string
		more, args = f.condition(b.order)
		text := `SELECT ` + columns + ` FROM ` + b.from + ` WHERE ` + b.where + more
		if f.Limit > 0 {
			args["limit"] = f.Limit
			text = `SELECT * FROM (` + text + ` ORDER BY ` + b.order + ` DESC LIMIT $limit) AS b`
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 { // the filter's conditions contradict each other
		return `SELECT ` + columns + ` FROM ` + all + ` WHERE false`, db.Args{}
	}
	return strings.Join(parts, ` UNION ALL `), args
}

// IDs returns the ids of the selected executions, newest first.
func (r *Repository) IDs(ctx context.Context, f Filter) ([]dbtype.ID, error) {
	text, args := f.query(`p.id`)
	if f.Limit > 0 {
		text = `SELECT id FROM (` + text + `) AS u ORDER BY id DESC LIMIT $limit`
	} else {
		text = `SELECT id FROM (` + text + `) AS u ORDER BY id DESC`
	}
	ids := []dbtype.ID{}
	err := r.db.Query(ctx, text, args, func(scan db.Scan) error {
		ids = append(ids, dbtype.ID{})
		return scan(&ids[len(ids)-1])
	})
	return ids, db.Wrap("list pipeline executions", err)
}

// List returns the selected executions with their labels, newest first, without SealParts.
func (r *Repository) List(ctx context.Context, f Filter) ([]pipelines.Execution, error) {
	ids, err := r.IDs(ctx, f)
	if err != nil {
		return nil, err
	}
	list := []pipelines.Execution{}
	for part := range slices.Chunk(ids, idsPerRead) {
		q, err := r.db.Read(ctx, "pipeline_executions")
		if err != nil {
			return nil, err
		}
		var found []pipelines.Execution
		if err := q.Where("id IN ?", part).Omit("SealParts").Order("id DESC").Find(&found).Error; err != nil {
			return nil, db.Wrap("list pipeline executions", err)
		}
		labels, err := r.Labels(ctx, part)
		if err != nil {
			return nil, err
		}
		for i := range found {
			found[i].Labels = labels[found[i].ID]
		}
		list = append(list, found...)
	}
	return list, nil
}

const idsPerRead = 1000

// Count returns the number of selected executions. It ignores the limit.
func (r *Repository) Count(ctx context.Context, f Filter) (n int64, err error) {
	f.Limit = 0
	text, args := f.query(`p.id`)
	err = r.db.Query(ctx, `SELECT count(*) FROM (`+text+
		`) AS u`, args, func(scan db.Scan) error { return scan(&n) })
	return n, db.Wrap("count pipeline executions", err)
}

// StatusCount is the number of runs of a pipeline with one status.
type StatusCount struct {
	Pipeline string           `json:"pipeline"`
	Status   pipelines.Status `json:"status"`
	Count    int64            `json:"count"`
}

// Counts returns the number of selected executions for each pipeline and status. It ignores the limit.
func (r *Repository) Counts(ctx context.Context, f Filter) ([]StatusCount, error) {
	f.Limit = 0
	text, args := f.query(`p.pipeline_name, p.status`)
	list := []StatusCount{}
	err := r.db.Query(ctx, `SELECT pipeline_name, status, count(*) FROM (`+text+
		`) AS u GROUP BY pipeline_name, status ORDER BY pipeline_name, status`, args,
		func(scan db.Scan) error {
			var c StatusCount
			err := scan(&c.Pipeline, &c.Status, &c.Count)
			list = append(list, c)
			return err
		})
	return list, db.Wrap("count pipeline executions", err)
}
