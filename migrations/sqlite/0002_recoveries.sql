-- +goose Up
-- The executions whose tasks are being taken back from lost workers. A row goes when that has been done; one that stays names an
-- execution whose recovery fails.
CREATE TABLE recoveries (
  pipeline_execution_id blob NOT NULL PRIMARY KEY,
  taken                 integer NOT NULL,     -- how often somebody has begun with it
  attempts              integer NOT NULL,     -- those that have failed, or whose process has not lived to tell
  error                 text,                 -- of the last one; null: its process has not lived to tell
  created_at            integer NOT NULL,
  next_at               integer NOT NULL      -- nobody begins with it before
);

CREATE VIEW recoveries_text AS SELECT
  lower(substr(hex(pipeline_execution_id),1,8)||'-'||substr(hex(pipeline_execution_id),9,4)||'-'||substr(hex(pipeline_execution_id),13,4)||'-'||substr(hex(pipeline_execution_id),17,4)||'-'||substr(hex(pipeline_execution_id),21)) AS pipeline_execution_id,
  taken, attempts, error,
  strftime('%Y-%m-%dT%H:%M:%S', created_at/1000000, 'unixepoch')||printf('.%06dZ', created_at%1000000) AS created_at,
  strftime('%Y-%m-%dT%H:%M:%S', next_at/1000000, 'unixepoch')||printf('.%06dZ', next_at%1000000) AS next_at
FROM recoveries;
