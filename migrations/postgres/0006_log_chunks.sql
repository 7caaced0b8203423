-- +goose Up
-- What a task writes to its stdout and stderr, in chunks as they come. Takes the place of task_logs.
CREATE TABLE log_chunks (
  task_execution_id uuid NOT NULL,
  attempt           integer NOT NULL,
  seq               bigint NOT NULL,          -- the order within the attempt; the task's version at the claim in the upper 32 bits
  stream            text NOT NULL,            -- stdout or stderr
  byte_offset       bigint NOT NULL,          -- where the chunk begins in its stream; a gap before it was left out
  byte_count        integer NOT NULL,         -- of the stream, before it was made valid text
  text              text NOT NULL,
  created_at        timestamptz NOT NULL,     -- when it was stored
  PRIMARY KEY (task_execution_id, attempt, seq)
);
INSERT INTO log_chunks SELECT task_execution_id, attempt, 1, 'stdout', 0, octet_length(stdout), stdout, created_at FROM task_logs WHERE stdout <> '';
INSERT INTO log_chunks SELECT task_execution_id, attempt, 2, 'stderr', 0, octet_length(stderr), stderr, created_at FROM task_logs WHERE stderr <> '';
DROP TABLE task_logs;
