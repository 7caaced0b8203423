-- +goose Up
-- What a task writes to its stdout and stderr, in chunks as they come. Takes the place of task_logs.
CREATE TABLE log_chunks (
  task_execution_id blob NOT NULL,
  attempt           integer NOT NULL,
  seq               integer NOT NULL,         -- the order within the attempt; the task's version at the claim in the upper 32 bits
  stream            text NOT NULL,            -- stdout or stderr
  byte_offset       integer NOT NULL,         -- where the chunk begins in its stream; a gap before it was left out
  byte_count        integer NOT NULL,         -- of the stream, before it was made valid text
  text              text NOT NULL,
  created_at        integer NOT NULL,         -- when it was stored
  PRIMARY KEY (task_execution_id, attempt, seq)
);
INSERT INTO log_chunks SELECT task_execution_id, attempt, 1, 'stdout', 0, length(CAST(stdout AS blob)), stdout, created_at FROM task_logs WHERE stdout <> '';
INSERT INTO log_chunks SELECT task_execution_id, attempt, 2, 'stderr', 0, length(CAST(stderr AS blob)), stderr, created_at FROM task_logs WHERE stderr <> '';
DROP TABLE task_logs;

-- +goose StatementBegin
CREATE VIEW log_chunks_text AS SELECT
  lower(substr(hex(task_execution_id),1,8)||'-'||substr(hex(task_execution_id),9,4)||'-'||substr(hex(task_execution_id),13,4)||'-'||substr(hex(task_execution_id),17,4)||'-'||substr(hex(task_execution_id),21)) AS task_execution_id,
  attempt, seq, stream, byte_offset, byte_count, text,
  strftime('%Y-%m-%dT%H:%M:%S', created_at/1000000, 'unixepoch')||printf('.%06dZ', created_at%1000000) AS created_at
FROM log_chunks;
-- +goose StatementEnd
