-- +goose Up
-- One file is one tenant. Ids are 16-byte blobs and times microseconds since 1970 UTC, a third faster than text;
-- the views at the end show both as text.

CREATE TABLE pipeline_definitions (
  pipeline_name  text NOT NULL,
  version        text NOT NULL,               -- hash of the definition's canonical JSON
  definition     text NOT NULL,
  registered_at  integer,                       -- the newest is what `start NAME` takes; null: only run from a file
  PRIMARY KEY (pipeline_name, version)
);

CREATE TABLE pipeline_executions (
  id                 blob NOT NULL PRIMARY KEY, -- version 7: insertion order is index order
  pipeline_name      text NOT NULL,
  definition_version text NOT NULL,
  status             text NOT NULL,
  version            integer NOT NULL,
  input              text,
  error              text,
  idempotency_key    text,
  open_tasks         integer NOT NULL,        -- tasks that are not terminal
  unsuccessful_tasks integer NOT NULL,        -- terminal tasks that are not Completed: 0 means no trigger rule needs a look
  events_removed     integer NOT NULL DEFAULT 0, -- how many events retention has taken; verify then has a summary only
  outputs_removed_at integer,                 -- when retention last took the tasks' outputs
  logs_removed_at    integer,                 -- and what they wrote
  seal               text,                    -- SHA-256 over the history at the last end that was sealed (docs/seal.md)
  former_seal        text,                    -- the seal of the end before, which this one covers
  sealed_version     integer,                 -- the version that seal is about
  seal_due           integer NOT NULL DEFAULT 0, -- 1: ended, and to be sealed
  created_at         integer NOT NULL,
  completed_at       integer,
  paused_at          integer
);
CREATE UNIQUE INDEX pipeline_executions_idempotency ON pipeline_executions (pipeline_name, idempotency_key) WHERE idempotency_key IS NOT NULL;
-- What has not ended: few rows however long the history, each leaving the index once.
CREATE INDEX pipeline_executions_open ON pipeline_executions (id) WHERE status IN ('Running', 'Paused');
-- Empty but for the moment between an end and its seal.
CREATE INDEX pipeline_executions_unsealed ON pipeline_executions (id) WHERE seal_due = 1;

CREATE TABLE task_executions (
  id                     blob NOT NULL PRIMARY KEY,
  pipeline_execution_id  blob NOT NULL,
  task_name              text NOT NULL,
  handler                text NOT NULL,
  queue                  text NOT NULL DEFAULT 'default',
  priority               integer NOT NULL DEFAULT 1,             -- 0 high, 1 normal, 2 low
  status                 text NOT NULL,
  sub_status             text,
  version                integer NOT NULL,
  attempt                integer NOT NULL DEFAULT 0,
  max_attempts           integer NOT NULL,
  remaining_dependencies integer NOT NULL,
  worker_id              text,
  retry_at               integer,
  recoveries             integer NOT NULL DEFAULT 0,
  output                 text,
  error                  text,
  created_at             integer NOT NULL,
  started_at             integer,
  completed_at           integer
);
CREATE UNIQUE INDEX task_executions_name ON task_executions (pipeline_execution_id, task_name);

-- One writer, so sequence_num is commit order.
CREATE TABLE execution_events (
  sequence_num          integer PRIMARY KEY AUTOINCREMENT,
  id                    blob NOT NULL,
  pipeline_execution_id blob NOT NULL,
  task_execution_id     blob,
  event_type            text NOT NULL,
  version               integer,              -- null for an annotation
  event_data            text NOT NULL,
  worker_id             text,
  actor                 text,
  created_at            integer NOT NULL
);
CREATE INDEX execution_events_pipeline ON execution_events (pipeline_execution_id, sequence_num);
-- Rare types alone: a common type is found soon by reading backwards, and its events stay free of this index's cost.
CREATE INDEX execution_events_rare ON execution_events (event_type, sequence_num)
  WHERE event_type NOT IN ('task_created', 'task_marked_ready', 'task_claimed', 'task_started', 'task_completed', 'pipeline_started', 'pipeline_completed');

CREATE TABLE task_outbox (
  id                integer PRIMARY KEY AUTOINCREMENT,
  task_execution_id blob NOT NULL UNIQUE,
  handler           text NOT NULL DEFAULT '', -- what a worker must be able to run to claim the task
  queue             text NOT NULL DEFAULT 'default',
  lane              integer NOT NULL DEFAULT 2, -- twice the priority, and 1 more for what a pipeline queued far beyond others' share
  available_at      integer NOT NULL,
  created_at        integer NOT NULL
);
-- What is due in a year lies at the far end of its lane, and no claim reads it.
CREATE INDEX task_outbox_lane ON task_outbox (queue, lane, available_at, id);

-- What a task wrote to its stdout and stderr, per attempt.
CREATE TABLE task_logs (
  task_execution_id blob NOT NULL,
  attempt           integer NOT NULL,
  stdout            text NOT NULL,
  stderr            text NOT NULL,
  created_at        integer NOT NULL,
  PRIMARY KEY (task_execution_id, attempt)
);

-- One lease per worker process, on this machine's clock.
CREATE TABLE workers (
  id               text NOT NULL PRIMARY KEY,
  hostname         text NOT NULL,
  pid              integer NOT NULL,
  slots            integer NOT NULL,
  handlers         text NOT NULL,             -- comma-separated
  queues           text NOT NULL DEFAULT 'default', -- comma-separated
  limits           text NOT NULL DEFAULT '',  -- of handlers: http=256,shell=64
  started_at       integer NOT NULL,
  lease_expires_at integer NOT NULL
);

-- Up to which number retention has removed events together with their executions: whoever follows the events from a place that is
-- gone can tell that from a database that was restored from an older copy.
CREATE TABLE removed_events (
  id    integer PRIMARY KEY,                  -- 1: there is one row
  up_to integer NOT NULL
);
INSERT INTO removed_events (id, up_to) VALUES (1, 0);

-- Work in the background that one process at a time takes care of. The row seal says that ends are sealed.
CREATE TABLE chores (
  name        text NOT NULL PRIMARY KEY,
  holder      text,                           -- who is at it; null: nobody
  expires_at  integer,                        -- when others may take it from a holder that is silent
  finished_at integer                         -- when it was last brought to its end
);

-- +goose StatementBegin
CREATE VIEW pipeline_executions_text AS SELECT
  lower(substr(hex(id),1,8)||'-'||substr(hex(id),9,4)||'-'||substr(hex(id),13,4)||'-'||substr(hex(id),17,4)||'-'||substr(hex(id),21)) AS id,
  pipeline_name, definition_version, status, version, input, error, idempotency_key, open_tasks, unsuccessful_tasks, events_removed,
  strftime('%Y-%m-%dT%H:%M:%S', outputs_removed_at/1000000, 'unixepoch')||printf('.%06dZ', outputs_removed_at%1000000) AS outputs_removed_at,
  strftime('%Y-%m-%dT%H:%M:%S', logs_removed_at/1000000, 'unixepoch')||printf('.%06dZ', logs_removed_at%1000000) AS logs_removed_at,
  seal, former_seal, sealed_version, seal_due,
  strftime('%Y-%m-%dT%H:%M:%S', created_at/1000000, 'unixepoch')||printf('.%06dZ', created_at%1000000) AS created_at,
  strftime('%Y-%m-%dT%H:%M:%S', completed_at/1000000, 'unixepoch')||printf('.%06dZ', completed_at%1000000) AS completed_at,
  strftime('%Y-%m-%dT%H:%M:%S', paused_at/1000000, 'unixepoch')||printf('.%06dZ', paused_at%1000000) AS paused_at
FROM pipeline_executions;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE VIEW task_executions_text AS SELECT
  lower(substr(hex(id),1,8)||'-'||substr(hex(id),9,4)||'-'||substr(hex(id),13,4)||'-'||substr(hex(id),17,4)||'-'||substr(hex(id),21)) AS id,
  lower(substr(hex(pipeline_execution_id),1,8)||'-'||substr(hex(pipeline_execution_id),9,4)||'-'||substr(hex(pipeline_execution_id),13,4)||'-'||substr(hex(pipeline_execution_id),17,4)||'-'||substr(hex(pipeline_execution_id),21)) AS pipeline_execution_id,
  task_name, handler, queue, priority, status, sub_status, version, attempt, max_attempts, remaining_dependencies, worker_id,
  strftime('%Y-%m-%dT%H:%M:%S', retry_at/1000000, 'unixepoch')||printf('.%06dZ', retry_at%1000000) AS retry_at,
  recoveries, output, error,
  strftime('%Y-%m-%dT%H:%M:%S', created_at/1000000, 'unixepoch')||printf('.%06dZ', created_at%1000000) AS created_at,
  strftime('%Y-%m-%dT%H:%M:%S', started_at/1000000, 'unixepoch')||printf('.%06dZ', started_at%1000000) AS started_at,
  strftime('%Y-%m-%dT%H:%M:%S', completed_at/1000000, 'unixepoch')||printf('.%06dZ', completed_at%1000000) AS completed_at
FROM task_executions;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE VIEW execution_events_text AS SELECT
  sequence_num,
  lower(substr(hex(id),1,8)||'-'||substr(hex(id),9,4)||'-'||substr(hex(id),13,4)||'-'||substr(hex(id),17,4)||'-'||substr(hex(id),21)) AS id,
  lower(substr(hex(pipeline_execution_id),1,8)||'-'||substr(hex(pipeline_execution_id),9,4)||'-'||substr(hex(pipeline_execution_id),13,4)||'-'||substr(hex(pipeline_execution_id),17,4)||'-'||substr(hex(pipeline_execution_id),21)) AS pipeline_execution_id,
  CASE WHEN task_execution_id IS NOT NULL THEN lower(substr(hex(task_execution_id),1,8)||'-'||substr(hex(task_execution_id),9,4)||'-'||substr(hex(task_execution_id),13,4)||'-'||substr(hex(task_execution_id),17,4)||'-'||substr(hex(task_execution_id),21)) END AS task_execution_id,
  event_type, version, event_data, worker_id, actor,
  strftime('%Y-%m-%dT%H:%M:%S', created_at/1000000, 'unixepoch')||printf('.%06dZ', created_at%1000000) AS created_at
FROM execution_events;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE VIEW task_outbox_text AS SELECT
  id,
  lower(substr(hex(task_execution_id),1,8)||'-'||substr(hex(task_execution_id),9,4)||'-'||substr(hex(task_execution_id),13,4)||'-'||substr(hex(task_execution_id),17,4)||'-'||substr(hex(task_execution_id),21)) AS task_execution_id,
  handler, queue, lane,
  strftime('%Y-%m-%dT%H:%M:%S', available_at/1000000, 'unixepoch')||printf('.%06dZ', available_at%1000000) AS available_at,
  strftime('%Y-%m-%dT%H:%M:%S', created_at/1000000, 'unixepoch')||printf('.%06dZ', created_at%1000000) AS created_at
FROM task_outbox;
-- +goose StatementEnd
