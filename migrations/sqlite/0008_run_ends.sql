-- +goose Up
-- Runs that a process without metrics has ended (a command, `sluice run`), until a server has counted and logged them. What no
-- server takes within an hour is removed.
CREATE TABLE run_ends (
  pipeline_execution_id blob NOT NULL,
  version               integer NOT NULL,    -- of the execution at that end
  pipeline_name         text NOT NULL,
  status                text NOT NULL,
  error                 text,
  created_at            integer NOT NULL,
  completed_at          integer NOT NULL,
  PRIMARY KEY (completed_at, pipeline_execution_id)
) WITHOUT ROWID;
-- +goose StatementBegin
CREATE VIEW run_ends_text AS SELECT
  lower(substr(hex(pipeline_execution_id),1,8)||'-'||substr(hex(pipeline_execution_id),9,4)||'-'||substr(hex(pipeline_execution_id),13,4)||'-'||substr(hex(pipeline_execution_id),17,4)||'-'||substr(hex(pipeline_execution_id),21)) AS pipeline_execution_id,
  version, pipeline_name, status, error,
  strftime('%Y-%m-%dT%H:%M:%S', created_at/1000000, 'unixepoch')||printf('.%06dZ', created_at%1000000) AS created_at,
  strftime('%Y-%m-%dT%H:%M:%S', completed_at/1000000, 'unixepoch')||printf('.%06dZ', completed_at%1000000) AS completed_at
FROM run_ends;
-- +goose StatementEnd
