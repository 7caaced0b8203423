-- +goose Up
-- Runs that a process without metrics has ended (a command, `sluice run`), until a server has counted and logged them. What no
-- server takes within an hour is removed.
CREATE TABLE run_ends (
  pipeline_execution_id uuid NOT NULL,
  version               bigint NOT NULL,     -- of the execution at that end
  pipeline_name         text NOT NULL,
  status                text NOT NULL,
  error                 text,
  created_at            timestamptz NOT NULL,
  completed_at          timestamptz NOT NULL,
  PRIMARY KEY (completed_at, pipeline_execution_id)
);
