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
