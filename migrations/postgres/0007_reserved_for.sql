-- +goose Up
-- The worker of the sluice run process that alone claims the tasks of the run, as long as it lives. Their outbox rows lie in the queue @WORKER.
ALTER TABLE pipeline_executions ADD COLUMN reserved_for text;
CREATE INDEX pipeline_executions_reserved ON pipeline_executions (reserved_for) WHERE reserved_for IS NOT NULL;
