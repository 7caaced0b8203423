-- +goose Up
-- The executions whose tasks are being taken back from lost workers. A row goes when that has been done; one that stays names an
-- execution whose recovery fails.
CREATE TABLE recoveries (
  pipeline_execution_id uuid PRIMARY KEY,
  taken                 integer NOT NULL,     -- how often somebody has begun with it
  attempts              integer NOT NULL,     -- those that have failed, or whose process has not lived to tell
  error                 text,                 -- of the last one; null: its process has not lived to tell
  created_at            timestamptz NOT NULL,
  next_at               timestamptz NOT NULL  -- nobody begins with it before
);
