package events

import (
	"context"
	"fmt"

	"sluice/platform/db"
)

// ended chooses the executions that retention may touch: those that ended before the cutoff. An id is a version 7 UUID, so it
// also bounds the search: nothing that began after the cutoff can have ended before it.
const ended = `status IN ('Completed', 'Failed', 'Cancelled') AND completed_at < $cutoff`

// CountOlderThan counts the events that DeleteOlderThan would remove, and the executions that they belong to.
func (r *Repository) CountOlderThan(ctx context.Context, cutoff db.Time) (events, executions int64, err error) {
	err = r.db.Query(ctx, `SELECT count(*), count(DISTINCT e.pipeline_execution_id) FROM {execution_events} AS e
WHERE e.created_at < $cutoff AND e.pipeline_execution_id IN (SELECT id FROM {pipeline_executions} WHERE `+ended+`)`,
		db.Args{"cutoff": cutoff}, func(scan func(...any) error) error { return scan(&events, &executions) })
	if err != nil {
		return 0, 0, fmt.Errorf("count old events: %w", err)
	}
	return events, executions, nil
}

// DeleteOlderThan removes events written before the cutoff, whole executions at a time and only of such as ended before it, and
// marks each execution with how many it lost, in the same transaction. It handles up to limit executions with ids greater than
// after, and returns the last id it looked at: zero when there are no more. A batch at a time, it disturbs no claim.
func (r *Repository) DeleteOlderThan(tx db.Tx, cutoff db.Time, after db.ID, limit int) (removed int64, last db.ID, err error) {
	var ids []db.ID
	beyond := ""
	if !after.IsZero() {
		beyond = `id > $after AND `
	}
	err = tx.Query(`SELECT id FROM {pipeline_executions} WHERE `+beyond+`events_removed = 0 AND `+ended+`
ORDER BY id LIMIT $limit $for_update`,
		db.Args{"after": after, "cutoff": cutoff, "limit": limit}, func(scan func(...any) error) error {
			ids = append(ids, db.ID{})
			return scan(&ids[len(ids)-1])
		})
	if err != nil || len(ids) == 0 {
		return 0, db.ID{}, wrap("find ended executions", err)
	}
	counts := map[db.ID]int64{}
	err = tx.Query(`DELETE FROM {execution_events} WHERE created_at < $cutoff AND pipeline_execution_id IN (SELECT id FROM $x)
RETURNING pipeline_execution_id`, db.Args{"x": db.IDSet(ids), "cutoff": cutoff}, func(scan func(...any) error) error {
		var id db.ID
		err := scan(&id)
		counts[id]++
		removed++
		return err
	})
	if err != nil {
		return 0, db.ID{}, wrap("delete old events", err)
	}
	marked := make([]int64, len(ids))
	for i, id := range ids {
		marked[i] = counts[id]
	}
	_, err = tx.Exec(`UPDATE {pipeline_executions} AS p SET events_removed = x.n FROM $x WHERE p.id = x.id`,
		db.Args{"x": db.IDSet(ids).Ints("n", marked)})
	return removed, ids[len(ids)-1], wrap("mark executions", err)
}

func wrap(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
