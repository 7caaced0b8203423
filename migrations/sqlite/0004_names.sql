-- +goose Up
-- The data of events bears the names of the YAML: id, uses, needs, pipeline.
UPDATE execution_events
SET event_data = json_set(json_remove(event_data, '$.task_name', '$.handler', '$.dependencies'),
  '$.id', event_data->>'$.task_name', '$.uses', event_data->>'$.handler', '$.needs', json(event_data->'$.dependencies'))
WHERE event_type = 'task_created' AND event_data->'$.task_name' IS NOT NULL;
UPDATE execution_events
SET event_data = json_set(json_remove(event_data, '$.pipeline_name'), '$.pipeline', event_data->>'$.pipeline_name')
WHERE event_type = 'pipeline_started' AND event_data->'$.pipeline_name' IS NOT NULL;
-- Seals cover the data. What has ended is sealed anew by the next process that seals.
UPDATE pipeline_executions
SET seal = NULL, former_seal = NULL, sealed_version = NULL, seal_due = CASE WHEN status IN ('Completed', 'Failed', 'Cancelled') THEN 1 ELSE 0 END
WHERE seal IS NOT NULL;
