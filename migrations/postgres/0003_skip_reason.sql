-- +goose Up
-- Why a task is Skipped: upstream_failed counts as failed for the trigger rules of its dependents, anything else as skipped.
ALTER TABLE task_executions ADD COLUMN skip_reason text;
