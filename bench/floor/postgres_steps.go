package floor

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const (
	insertTaskEvents = `INSERT INTO execution_events (id, pipeline_execution_id, task_execution_id,
  event_type, version, event_data, worker_id, created_at)
SELECT x.id, x.pipeline, x.task, $4, $5, $6::jsonb, $7, now() FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS x (id,
  pipeline, task)`
	insertRunEvents = `INSERT INTO execution_events (id, pipeline_execution_id, event_type, version,
  event_data, worker_id, created_at)
SELECT x.id, x.pipeline, $3, $4, $5::jsonb, $6, now() FROM unnest($1::uuid[], $2::uuid[]) AS x (id, pipeline)`
	insertRuns = `INSERT INTO pipeline_executions (id, pipeline_name, definition_version, status,
  version, open_tasks, unsuccessful_tasks, created_at)
SELECT x.id, 'bench-chain', $2, 'Running', 1, $3, 0, now() FROM unnest($1::uuid[]) AS x (id)`
	insertTasks = `INSERT INTO task_executions (id, pipeline_execution_id, task_name, handler,
  status, version, max_attempts, remaining_dependencies, created_at)
SELECT x.id, x.pipeline, $3, 'bench', $4, $5, 1, $6, now() FROM unnest($1::uuid[], $2::uuid[]) AS x (id, pipeline)`
	insertOutbox = `INSERT INTO task_outbox (task_execution_id, handler, available_at, created_at)
SELECT x.id, 'bench', now(), now() FROM unnest($1::uuid[]) AS x (id)`

	takeOutbox = `DELETE FROM task_outbox WHERE id = ANY (ARRAY(
  SELECT id FROM task_outbox WHERE queue = 'default' AND lane = 2 AND available_at <= now()
  ORDER BY queue, lane, available_at, id LIMIT $1
  FOR UPDATE SKIP LOCKED)) RETURNING task_execution_id`
	startTasks = `UPDATE task_executions SET status = 'Running', sub_status = 'Active', version = $3, attempt = 1,
  remaining_dependencies = 0,
  worker_id = $4, started_at = now() WHERE id = ANY ($1::uuid[]) AND version = $2`
	completeTasks = `UPDATE task_executions SET status = 'Completed', sub_status = NULL, version = version + 1,
  completed_at = now()
WHERE id = ANY ($1::uuid[]) AND version = $2`
	countOff = `UPDATE pipeline_executions SET open_tasks = open_tasks - 1 WHERE id = ANY ($1::uuid[])
  AND status = 'Running'`
	endRuns = `UPDATE pipeline_executions SET open_tasks = 0, status = 'Completed', version = version + 1,
  completed_at = now()
WHERE id = ANY ($1::uuid[]) AND open_tasks = 1`
)

// create writes runs, with all their tasks, the first of each in the outbox.
func (p *postgres) create(ctx context.Context, c *pgx.Conn, s set) error {
	w, n := &write{}, len(s.pipelines)
	w.add(0, "BEGIN")
	w.add(n, insertRuns, uuids(s.pipelines), definition, len(s.tasks))
	w.add(n, insertRunEvents, uuids(p.ids.take(n)), uuids(s.pipelines), "pipeline_started", 1, dataPipelineStarted, nil)
	for place, list := range s.tasks {
		status, version, needs := "NotStarted", versionCreated, 1
		if place == 0 {
			status, version, needs = "Ready", versionReady, 0
		}
		w.add(n, insertTasks, uuids(list), uuids(s.pipelines), fmt.Sprint("t", place), status, version, needs)
		p.event(w, s, place, "task_created", versionCreated, dataCreated, nil)
	}
	p.event(w, s, 0, "task_marked_ready", versionReady, dataReady, nil)
	w.add(n, insertOutbox, uuids(s.tasks[0]))
	return w.commit(ctx, c)
}

func (p *postgres) event(w *write, s set, place int, kind string, version int, data string, worker any) {
	n := len(s.pipelines)
	w.add(n, insertTaskEvents, uuids(p.ids.take(n)), uuids(s.pipelines), uuids(s.tasks[place]), kind, version, data,
		worker)
}

// claim takes tasks from the outbox and starts them.
func (p *postgres) claim(ctx context.Context, c *pgx.Conn) ([]id, error) {
	tx, err := c.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // after a commit it does nothing
	rows, err := tx.Query(ctx, takeOutbox, chainsAtOnce)
	if err != nil {
		return nil, fmt.Errorf("take from the outbox: %w", err)
	}
	first, err := pgx.CollectRows(rows, pgx.RowTo[id])
	if err != nil || len(first) == 0 {
		return nil, err
	}
	w := &write{}
	p.start(w, p.known.look(first), 0, versionReady)
	return first, w.commit(ctx, c)
}

// start moves tasks to Running, from the version that they have.
func (p *postgres) start(w *write, s set, place, from int) {
	w.add(len(s.pipelines), startTasks, uuids(s.tasks[place]), from, versionStarted, workerName)
	if from < versionReady {
		p.event(w, s, place, "task_marked_ready", versionReady, dataReady, nil)
	}
	p.event(w, s, place, "task_claimed", versionReady+1, dataClaimed, workerName)
	p.event(w, s, place, "task_started", versionStarted, dataStarted, workerName)
}

// step completes the tasks at a place of their chains, and starts the next ones or ends the runs.
func (p *postgres) step(ctx context.Context, c *pgx.Conn, s set, place int) error {
	w, n := &write{}, len(s.pipelines)
	w.add(0, "BEGIN")
	w.add(n, completeTasks, uuids(s.tasks[place]), versionStarted)
	p.event(w, s, place, "task_completed", versionStarted+1, dataCompleted, workerName)
	if place+1 < len(s.tasks) {
		w.add(n, countOff, uuids(s.pipelines))
		p.start(w, s, place+1, versionCreated)
	} else {
		w.add(n, endRuns, uuids(s.pipelines))
		w.add(n, insertRunEvents, uuids(p.ids.take(n)), uuids(s.pipelines), "pipeline_completed", 2, dataPipelineEnded,
			workerName)
	}
	return w.commit(ctx, c)
}
