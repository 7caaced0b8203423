-- +goose Up
-- What expressions read: the kind of the error that the row has, and how often a run has been begun.
ALTER TABLE task_executions ADD COLUMN error_kind text;
ALTER TABLE pipeline_executions ADD COLUMN attempt integer NOT NULL DEFAULT 1;
UPDATE task_executions SET error_kind = (SELECT e.event_data ->> 'error_kind' FROM execution_events AS e
  WHERE e.pipeline_execution_id = task_executions.pipeline_execution_id AND e.task_execution_id = task_executions.id
    AND e.event_type IN ('task_failed', 'task_retry_scheduled', 'task_abandoned')
  ORDER BY e.version DESC LIMIT 1) WHERE error IS NOT NULL;
UPDATE pipeline_executions SET attempt = 1 + (SELECT count(*) FROM execution_events AS e
  WHERE e.pipeline_execution_id = pipeline_executions.id AND e.event_type = 'pipeline_restarted')
WHERE id IN (SELECT pipeline_execution_id FROM execution_events WHERE event_type = 'pipeline_restarted');
DROP VIEW task_executions_text;
-- +goose StatementBegin
CREATE VIEW task_executions_text AS SELECT
  lower(substr(hex(id),1,8)||'-'||substr(hex(id),9,4)||'-'||substr(hex(id),13,4)||'-'||substr(hex(id),17,4)||'-'||substr(hex(id),21)) AS id,
  lower(substr(hex(pipeline_execution_id),1,8)||'-'||substr(hex(pipeline_execution_id),9,4)||'-'||substr(hex(pipeline_execution_id),13,4)||'-'||substr(hex(pipeline_execution_id),17,4)||'-'||substr(hex(pipeline_execution_id),21)) AS pipeline_execution_id,
  task_name, handler, queue, priority, status, sub_status, version, attempt, max_attempts, remaining_dependencies, worker_id,
  strftime('%Y-%m-%dT%H:%M:%S', retry_at/1000000, 'unixepoch')||printf('.%06dZ', retry_at%1000000) AS retry_at,
  recoveries, skip_reason, output, error, error_kind,
  strftime('%Y-%m-%dT%H:%M:%S', created_at/1000000, 'unixepoch')||printf('.%06dZ', created_at%1000000) AS created_at,
  strftime('%Y-%m-%dT%H:%M:%S', started_at/1000000, 'unixepoch')||printf('.%06dZ', started_at%1000000) AS started_at,
  strftime('%Y-%m-%dT%H:%M:%S', completed_at/1000000, 'unixepoch')||printf('.%06dZ', completed_at%1000000) AS completed_at
FROM task_executions;
-- +goose StatementEnd
DROP VIEW pipeline_executions_text;
-- +goose StatementBegin
CREATE VIEW pipeline_executions_text AS SELECT
  lower(substr(hex(id),1,8)||'-'||substr(hex(id),9,4)||'-'||substr(hex(id),13,4)||'-'||substr(hex(id),17,4)||'-'||substr(hex(id),21)) AS id,
  pipeline_name, definition_version, status, version, attempt, input, error, idempotency_key, open_tasks, unsuccessful_tasks, events_removed,
  strftime('%Y-%m-%dT%H:%M:%S', outputs_removed_at/1000000, 'unixepoch')||printf('.%06dZ', outputs_removed_at%1000000) AS outputs_removed_at,
  strftime('%Y-%m-%dT%H:%M:%S', logs_removed_at/1000000, 'unixepoch')||printf('.%06dZ', logs_removed_at%1000000) AS logs_removed_at,
  seal, former_seal, sealed_version, seal_due,
  strftime('%Y-%m-%dT%H:%M:%S', created_at/1000000, 'unixepoch')||printf('.%06dZ', created_at%1000000) AS created_at,
  strftime('%Y-%m-%dT%H:%M:%S', completed_at/1000000, 'unixepoch')||printf('.%06dZ', completed_at%1000000) AS completed_at,
  strftime('%Y-%m-%dT%H:%M:%S', paused_at/1000000, 'unixepoch')||printf('.%06dZ', paused_at%1000000) AS paused_at
FROM pipeline_executions;
-- +goose StatementEnd
