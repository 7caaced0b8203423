-- +goose Up
-- What the seal is the hash of, a line for each part (docs/seal.md); null: not sealed, or a seal of form 1, which covers the history alone.
ALTER TABLE pipeline_executions ADD COLUMN seal_parts text;
DROP VIEW pipeline_executions_text;
-- +goose StatementBegin
CREATE VIEW pipeline_executions_text AS SELECT
  lower(substr(hex(id),1,8)||'-'||substr(hex(id),9,4)||'-'||substr(hex(id),13,4)||'-'||substr(hex(id),17,4)||'-'||substr(hex(id),21)) AS id,
  pipeline_name, definition_version, status, version, attempt, input, error, idempotency_key, open_tasks, unsuccessful_tasks, events_removed,
  strftime('%Y-%m-%dT%H:%M:%S', outputs_removed_at/1000000, 'unixepoch')||printf('.%06dZ', outputs_removed_at%1000000) AS outputs_removed_at,
  strftime('%Y-%m-%dT%H:%M:%S', logs_removed_at/1000000, 'unixepoch')||printf('.%06dZ', logs_removed_at%1000000) AS logs_removed_at,
  seal, former_seal, sealed_version, seal_parts, seal_due, reserved_for,
  strftime('%Y-%m-%dT%H:%M:%S', created_at/1000000, 'unixepoch')||printf('.%06dZ', created_at%1000000) AS created_at,
  strftime('%Y-%m-%dT%H:%M:%S', completed_at/1000000, 'unixepoch')||printf('.%06dZ', completed_at%1000000) AS completed_at,
  strftime('%Y-%m-%dT%H:%M:%S', paused_at/1000000, 'unixepoch')||printf('.%06dZ', paused_at%1000000) AS paused_at,
  strftime('%Y-%m-%dT%H:%M:%S', deadline_at/1000000, 'unixepoch')||printf('.%06dZ', deadline_at%1000000) AS deadline_at
FROM pipeline_executions;
-- +goose StatementEnd
