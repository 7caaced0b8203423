package pipelines

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
)

// Filter chooses executions. Zero fields choose all.
type Filter struct {
	PipelineName string
	Statuses     []Status          // any of them
	Since, Until db.Time           // created at Since or later, and before Until
	Error        string            // part of the error, whatever the case of its letters
	Labels       map[string]string // all of them
	Before       db.ID             // only older ones than this
	Limit        int               // 0: all
}

// clockSkew is by how much the clock of a process that starts runs may differ from the database's: ids hold the one,
// created_at the other, and a listing finds a period by ids.
const clockSkew = time.Hour

// The conditions of the partial indexes, letter by letter, so that SQLite sees that they apply.
const (
	open        = `p.status IN ('Running', 'Paused')`
	ended       = `p.status IN ('Completed', 'Failed', 'Cancelled')`
	endedBadly  = `p.status IN ('Failed', 'Cancelled')`
	theLabelled = `{execution_labels} AS l JOIN {pipeline_executions} AS p ON p.id = l.pipeline_execution_id`
	all         = `{pipeline_executions} AS p`
)

// branch is a part of what a filter chooses that one index finds, newest first.
type branch struct {
	from, where, order string
}

// branches parts what the filter chooses, so that each part is found by one index: by a label; else by pipeline and
// status, once it has ended; else by status, where few have it; else by id. What is counted needs no order, and is
// found by pipeline and status too.
func (f Filter) branches(counted bool) []branch {
	statuses := f.Statuses
	if len(statuses) == 0 {
		statuses = Statuses()
	}
	if f.Error != "" {
		// others have no error
		statuses = slices.DeleteFunc(slices.Clone(statuses), func(s Status) bool { return s != Failed })
	}
	chosen := func(of ...Status) []Status {
		return slices.DeleteFunc(of, func(s Status) bool { return !slices.Contains(statuses, s) })
	}
	var list []branch
	add := func(condition string, of []Status) {
		if len(of) > 0 {
			list = append(list, branch{all, condition + among(of), `p.id`})
		}
	}
	switch {
	case len(f.Labels) > 0 && len(statuses) > 0:
		return []branch{{theLabelled, `l.name = $label0 AND l.value = $value0` + among(statuses), `l.pipeline_execution_id`}}
	case f.PipelineName != "":
		add(open, chosen(Running, Paused))
		for _, s := range chosen(Completed, Failed, Cancelled) {
			add(ended, []Status{s})
		}
	case counted && f.Since.IsZero() && f.Until.IsZero() && f.Before.IsZero():
		add(open, chosen(Running, Paused))
		add(ended, chosen(Completed, Failed, Cancelled))
	case slices.Contains(statuses, Completed):
		add(`true`, statuses)
	default:
		add(open, chosen(Running, Paused))
		add(endedBadly, chosen(Failed, Cancelled))
	}
	return list
}

// among is the condition that the status is one of a list; the statuses are the program's own words.
func among(statuses []Status) string {
	switch len(statuses) {
	case len(Statuses()):
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

// condition is what all branches ask besides, and the values.
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
		add("first", id+` >= $first`, db.FirstIDAt(f.Since.Add(-clockSkew)))
	}
	if !f.Until.IsZero() {
		add("until", `p.created_at < $until`, f.Until)
		add("last", id+` < $last`, db.FirstIDAt(f.Until.Add(clockSkew)))
	}
	if f.Error != "" {
		add("error", `lower(p.error) LIKE $error ESCAPE '!'`, likePart(strings.ToLower(f.Error)))
	}
	for i, name := range slices.Sorted(maps.Keys(f.Labels)) {
		label, value := fmt.Sprintf("label%d", i), fmt.Sprintf("value%d", i)
		args[label], args[value] = name, f.Labels[name]
		if i > 0 {
			text += ` AND EXISTS (SELECT 1 FROM {execution_labels} AS m WHERE m.name = $` + label + ` AND m.value = $` + value + ` AND m.pipeline_execution_id = p.id)`
		}
	}
	return text, args
}

// likePart is the pattern of LIKE for a text with this in it.
func likePart(s string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s) + "%"
}

// query is the statement that reads columns of what the filter chooses, newest first up to its limit; not ordered
// without one.
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
	if len(parts) == 0 { // statuses that exclude each other
		return `SELECT ` + columns + ` FROM ` + all + ` WHERE false`, db.Args{}
	}
	return strings.Join(parts, ` UNION ALL `), args
}

// IDs lists the executions that the filter chooses, newest first.
func (r *Repository) IDs(ctx context.Context, f Filter) ([]db.ID, error) {
	text, args := f.query(`p.id`)
	if f.Limit > 0 {
		text = `SELECT id FROM (` + text + `) AS u ORDER BY id DESC LIMIT $limit`
	} else {
		text = `SELECT id FROM (` + text + `) AS u ORDER BY id DESC`
	}
	ids := []db.ID{}
	err := r.db.Query(ctx, text, args, func(scan func(...any) error) error {
		ids = append(ids, db.ID{})
		return scan(&ids[len(ids)-1])
	})
	return ids, wrap("list pipeline executions", err)
}

// List reads the executions that the filter chooses, newest first, with their labels.
func (r *Repository) List(ctx context.Context, f Filter) ([]Execution, error) {
	ids, err := r.IDs(ctx, f)
	if err != nil {
		return nil, err
	}
	list := []Execution{}
	for part := range slices.Chunk(ids, idsPerRead) {
		q, err := r.db.Read(ctx)
		if err != nil {
			return nil, err
		}
		var found []Execution
		if err := q.Where("id IN ?", part).Omit("SealParts").Order("id DESC").Find(&found).Error; err != nil {
			return nil, wrap("list pipeline executions", err)
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

// Count counts the executions that the filter chooses, whatever its limit.
func (r *Repository) Count(ctx context.Context, f Filter) (n int64, err error) {
	f.Limit = 0
	text, args := f.query(`p.id`)
	err = r.db.Query(ctx, `SELECT count(*) FROM (`+text+`) AS u`, args, func(scan func(...any) error) error { return scan(&n) })
	return n, wrap("count pipeline executions", err)
}

// StatusCount is how many runs of a pipeline have a status.
type StatusCount struct {
	Pipeline string `json:"pipeline"`
	Status   Status `json:"status"`
	Count    int64  `json:"count"`
}

// Counts counts the executions that the filter chooses by pipeline and status, whatever its limit.
func (r *Repository) Counts(ctx context.Context, f Filter) ([]StatusCount, error) {
	f.Limit = 0
	text, args := f.query(`p.pipeline_name, p.status`)
	list := []StatusCount{}
	err := r.db.Query(ctx, `SELECT pipeline_name, status, count(*) FROM (`+text+`) AS u GROUP BY pipeline_name, status ORDER BY pipeline_name, status`, args,
		func(scan func(...any) error) error {
			var c StatusCount
			err := scan(&c.Pipeline, &c.Status, &c.Count)
			list = append(list, c)
			return err
		})
	return list, wrap("count pipeline executions", err)
}
