package floor

import (
	"context"
	"fmt"
	"time"
)

// A packed parameter is opened by the table of places: substr(?1, i*16+1, 16) is its i-th id.
const (
	liteTaskEvents = `INSERT INTO execution_events (id, pipeline_execution_id, task_execution_id,
  event_type, version, event_data, worker_id, created_at)
SELECT substr(?1, i*16+1, 16), substr(?2, i*16+1, 16), substr(?3, i*16+1, 16), ?4, ?5, ?6, ?7, ?8 FROM place
  WHERE i < ?9`
	liteRunEvents = `INSERT INTO execution_events (id, pipeline_execution_id, event_type, version,
  event_data, worker_id, created_at)
SELECT substr(?1, i*16+1, 16), substr(?2, i*16+1, 16), ?3, ?4, ?5, ?6, ?7 FROM place WHERE i < ?8`
	liteRuns = `INSERT INTO pipeline_executions (id, pipeline_name, definition_version, status,
  version, open_tasks, unsuccessful_tasks, created_at)
SELECT substr(?1, i*16+1, 16), 'bench-chain', ?2, 'Running', 1, ?3, 0, ?4 FROM place WHERE i < ?5`
	liteTasks = `INSERT INTO task_executions (id, pipeline_execution_id, task_name, handler,
  status, version, max_attempts, remaining_dependencies, created_at)
SELECT substr(?1, i*16+1, 16), substr(?2, i*16+1, 16), ?3, 'bench', ?4, ?5, 1, ?6, ?7 FROM place WHERE i < ?8`
	liteOutbox = `INSERT INTO task_outbox (task_execution_id, handler, available_at, created_at)
SELECT substr(?1, i*16+1, 16), 'bench', ?2, ?2 FROM place WHERE i < ?3`
	liteTake = `DELETE FROM task_outbox WHERE id IN (
  SELECT id FROM task_outbox WHERE queue = 'default' AND lane = 2 AND available_at <= ?1
  ORDER BY available_at, id LIMIT ?2) RETURNING task_execution_id`
	liteStart = `UPDATE task_executions SET status = 'Running', sub_status = 'Active', version = ?3, attempt = 1,
  remaining_dependencies = 0,
  worker_id = ?4, started_at = ?5 WHERE id IN (SELECT substr(?1, i*16+1, 16) FROM place WHERE i < ?6) AND version = ?2`
	liteComplete = `UPDATE task_executions SET status = 'Completed', sub_status = NULL, version = version + 1,
  completed_at = ?3
WHERE id IN (SELECT substr(?1, i*16+1, 16) FROM place WHERE i < ?4) AND version = ?2`
	liteCountOff = `UPDATE pipeline_executions SET open_tasks = open_tasks - 1
WHERE id IN (SELECT substr(?1, i*16+1, 16) FROM place WHERE i < ?2) AND status = 'Running'`
	liteEnd = `UPDATE pipeline_executions SET open_tasks = 0, status = 'Completed', version = version + 1,
  completed_at = ?2
WHERE id IN (SELECT substr(?1, i*16+1, 16) FROM place WHERE i < ?3) AND open_tasks = 1`
)

func (l *lite) create(ctx context.Context, s set) error {
	n, runs := len(s.pipelines), packed(s.pipelines)
	l.clock = time.Now().UnixMicro()
	if err := l.exec(ctx, n, liteRuns, runs, definition, len(s.tasks), l.clock, n); err != nil {
		return err
	}
	if err := l.exec(ctx, n, liteRunEvents, packed(l.ids.take(n)), runs, "pipeline_started", 1, dataPipelineStarted,
		nil, l.clock, n); err != nil {
		return err
	}
	for place, list := range s.tasks {
		status, version, needs := "NotStarted", versionCreated, 1
		if place == 0 {
			status, version, needs = "Ready", versionReady, 0
		}
		if err := l.exec(ctx, n, liteTasks, packed(list), runs, fmt.Sprint("t", place), status, version, needs, l.clock,
			n); err != nil {
			return err
		}
		if err := l.event(ctx, s, place, "task_created", versionCreated, dataCreated, nil); err != nil {
			return err
		}
	}
	if err := l.event(ctx, s, 0, "task_marked_ready", versionReady, dataReady, nil); err != nil {
		return err
	}
	return l.exec(ctx, n, liteOutbox, packed(s.tasks[0]), l.clock, n)
}

func (l *lite) event(ctx context.Context, s set, place int, kind string, version int, data string, worker any) error {
	n := len(s.pipelines)
	return l.exec(ctx, n, liteTaskEvents, packed(l.ids.take(n)), packed(s.pipelines), packed(s.tasks[place]), kind,
		version, data, worker, l.clock, n)
}

// take takes tasks from the outbox.
func (l *lite) take(ctx context.Context) (first []id, err error) {
	l.clock = time.Now().UnixMicro()
	stmt, err := l.prepared(ctx, liteTake)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, l.clock, liteAtOnce)
	if err != nil {
		return nil, fmt.Errorf("take from the outbox: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err says what went wrong
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, err
		}
		first = append(first, id(b))
	}
	return first, rows.Err()
}

// start moves tasks to Running, from the version that they have.
func (l *lite) start(ctx context.Context, s set, place, from int) error {
	n := len(s.pipelines)
	if err := l.exec(ctx, n, liteStart, packed(s.tasks[place]), from, versionStarted, workerName, l.clock,
		n); err != nil {
		return err
	}
	if from < versionReady {
		if err := l.event(ctx, s, place, "task_marked_ready", versionReady, dataReady, nil); err != nil {
			return err
		}
	}
	if err := l.event(ctx, s, place, "task_claimed", versionReady+1, dataClaimed, workerName); err != nil {
		return err
	}
	return l.event(ctx, s, place, "task_started", versionStarted, dataStarted, workerName)
}

// step completes the tasks at a place of their chains, and starts the next ones or ends the runs.
func (l *lite) step(ctx context.Context, s set, place int) error {
	n := len(s.pipelines)
	l.clock = time.Now().UnixMicro()
	if err := l.exec(ctx, n, liteComplete, packed(s.tasks[place]), versionStarted, l.clock, n); err != nil {
		return err
	}
	if err := l.event(ctx, s, place, "task_completed", versionStarted+1, dataCompleted, workerName); err != nil {
		return err
	}
	if place+1 < len(s.tasks) {
		if err := l.exec(ctx, n, liteCountOff, packed(s.pipelines), n); err != nil {
			return err
		}
		return l.start(ctx, s, place+1, versionCreated)
	}
	if err := l.exec(ctx, n, liteEnd, packed(s.pipelines), l.clock, n); err != nil {
		return err
	}
	return l.exec(ctx, n, liteRunEvents, packed(l.ids.take(n)), packed(s.pipelines), "pipeline_completed", 2,
		dataPipelineEnded, workerName, l.clock, n)
}
