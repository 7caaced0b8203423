-- +goose Up
-- Why a task is Skipped: upstream_failed counts as failed for the trigger rules of its dependents, anything else as skipped.
ALTER TABLE task_executions ADD COLUMN skip_reason text;
DROP VIEW task_executions_text;
-- +goose StatementBegin
CREATE VIEW task_executions_text AS SELECT
  lower(substr(hex(id),1,8)||'-'||substr(hex(id),9,4)||'-'||substr(hex(id),13,4)||'-'||substr(hex(id),17,4)||'-'||substr(hex(id),21)) AS id,
  lower(substr(hex(pipeline_execution_id),1,8)||'-'||substr(hex(pipeline_execution_id),9,4)||'-'||substr(hex(pipeline_execution_id),13,4)||'-'||substr(hex(pipeline_execution_id),17,4)||'-'||substr(hex(pipeline_execution_id),21)) AS pipeline_execution_id,
  task_name, handler, queue, priority, status, sub_status, version, attempt, max_attempts, remaining_dependencies, worker_id,
  strftime('%Y-%m-%dT%H:%M:%S', retry_at/1000000, 'unixepoch')||printf('.%06dZ', retry_at%1000000) AS retry_at,
  recoveries, skip_reason, output, error,
  strftime('%Y-%m-%dT%H:%M:%S', created_at/1000000, 'unixepoch')||printf('.%06dZ', created_at%1000000) AS created_at,
  strftime('%Y-%m-%dT%H:%M:%S', started_at/1000000, 'unixepoch')||printf('.%06dZ', started_at%1000000) AS started_at,
  strftime('%Y-%m-%dT%H:%M:%S', completed_at/1000000, 'unixepoch')||printf('.%06dZ', completed_at%1000000) AS completed_at
FROM task_executions;
-- +goose StatementEnd
