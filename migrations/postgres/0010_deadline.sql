-- +goose Up
-- When the pipeline's timeout ends the run; null: it has none, or has ended.
ALTER TABLE pipeline_executions ADD COLUMN deadline_at timestamptz;
CREATE INDEX pipeline_executions_deadline ON pipeline_executions (deadline_at) WHERE deadline_at IS NOT NULL AND status IN ('Running', 'Paused');
