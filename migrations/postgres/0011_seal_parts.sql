-- +goose Up
-- What the seal is the hash of, a line for each part (docs/seal.md); null: not sealed, or a seal of form 1, which covers the history alone.
ALTER TABLE pipeline_executions ADD COLUMN seal_parts text;
