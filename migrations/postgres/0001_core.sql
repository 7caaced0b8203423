-- +goose Up
-- The schema of one tenant. Names are unqualified on purpose: the runner sets search_path to the tenant's schema alone.
-- No foreign keys: they cost a half to four fifths of the throughput (docs/adr/0003); `sluice verify` checks what they would.

CREATE TABLE pipeline_definitions (
  pipeline_name  text NOT NULL,
  version        text NOT NULL,               -- hash of the definition's canonical JSON
  definition     jsonb NOT NULL,
  registered_at  timestamptz,                   -- the newest is what `start NAME` takes; null: only run from a file
  PRIMARY KEY (pipeline_name, version)
);

CREATE TABLE pipeline_executions (
  id                 uuid PRIMARY KEY,        -- version 7: insertion order is index order
  pipeline_name      text NOT NULL,
  definition_version text NOT NULL,
  status             text NOT NULL,
  version            bigint NOT NULL,
  input              jsonb,
  error              text,
  idempotency_key    text,
  open_tasks         integer NOT NULL,        -- tasks that are not terminal
  unsuccessful_tasks integer NOT NULL,        -- terminal tasks that are not Completed: 0 means no trigger rule needs a look
  events_removed     bigint NOT NULL DEFAULT 0, -- how many events retention has taken; verify then has a summary only
  outputs_removed_at timestamptz,             -- when retention last took the tasks' outputs
  logs_removed_at    timestamptz,             -- and what they wrote
  seal               text,                    -- SHA-256 over the history at the last end that was sealed (docs/seal.md)
  former_seal        text,                    -- the seal of the end before, which this one covers
  sealed_version     bigint,                  -- the version that seal is about
  seal_due           integer NOT NULL DEFAULT 0, -- 1: ended, and to be sealed
  created_at         timestamptz NOT NULL,
  completed_at       timestamptz,
  paused_at          timestamptz
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX pipeline_executions_idempotency ON pipeline_executions (pipeline_name, idempotency_key) WHERE idempotency_key IS NOT NULL;
-- What has not ended: few rows however long the history, each leaving the index once.
CREATE INDEX pipeline_executions_open ON pipeline_executions (id) WHERE status IN ('Running', 'Paused');
-- Empty but for the moment between an end and its seal.
CREATE INDEX pipeline_executions_unsealed ON pipeline_executions (id) WHERE seal_due = 1;

-- Only columns that never change are indexed, and half of each page is kept free: every update stays on its page (HOT).
CREATE TABLE task_executions (
  id                     uuid PRIMARY KEY,
  pipeline_execution_id  uuid NOT NULL,
  task_name              text NOT NULL,
  handler                text NOT NULL,
  queue                  text NOT NULL DEFAULT 'default',
  priority               integer NOT NULL DEFAULT 1,             -- 0 high, 1 normal, 2 low
  status                 text NOT NULL,
  sub_status             text,
  version                bigint NOT NULL,
  attempt                integer NOT NULL DEFAULT 0,
  max_attempts           integer NOT NULL,
  remaining_dependencies integer NOT NULL,
  worker_id              text,
  retry_at               timestamptz,
  recoveries             integer NOT NULL DEFAULT 0,
  output                 jsonb,
  error                  text,
  created_at             timestamptz NOT NULL,
  started_at             timestamptz,
  completed_at           timestamptz
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX task_executions_name ON task_executions (pipeline_execution_id, task_name);

-- sequence_num is the order of each task and each pipeline, for whoever writes its next event has waited for the commit of the one
-- before. It is not the order of commits: docs/adr/0007 says how the tail loses nothing.
CREATE TABLE execution_events (
  sequence_num          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id                    uuid NOT NULL,
  pipeline_execution_id uuid NOT NULL,
  task_execution_id     uuid,
  event_type            text NOT NULL,
  version               bigint,               -- null for an annotation
  event_data            jsonb NOT NULL,
  worker_id             text,
  actor                 text,
  created_at            timestamptz NOT NULL
);
CREATE INDEX execution_events_pipeline ON execution_events (pipeline_execution_id, sequence_num);
-- Rare types alone: a common type is found soon by reading backwards, and its events stay free of this index's cost.
CREATE INDEX execution_events_rare ON execution_events (event_type, sequence_num)
  WHERE event_type NOT IN ('task_created', 'task_marked_ready', 'task_claimed', 'task_started', 'task_completed', 'pipeline_started', 'pipeline_completed');

CREATE TABLE task_outbox (
  id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  task_execution_id uuid NOT NULL UNIQUE,
  handler           text NOT NULL DEFAULT '', -- what a worker must be able to run to claim the task
  queue             text NOT NULL DEFAULT 'default',
  lane              integer NOT NULL DEFAULT 2, -- twice the priority, and 1 more for what a pipeline queued far beyond others' share
  available_at      timestamptz NOT NULL,
  created_at        timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
-- What is due in a year lies at the far end of its lane, and no claim reads it.
CREATE INDEX task_outbox_lane ON task_outbox (queue, lane, available_at, id);

-- What a task wrote to its stdout and stderr, per attempt.
CREATE TABLE task_logs (
  task_execution_id uuid NOT NULL,
  attempt           integer NOT NULL,
  stdout            text NOT NULL,
  stderr            text NOT NULL,
  created_at        timestamptz NOT NULL,
  PRIMARY KEY (task_execution_id, attempt)
);

-- One lease per worker process, on the database's clock.
CREATE TABLE workers (
  id               text PRIMARY KEY,
  hostname         text NOT NULL,
  pid              integer NOT NULL,
  slots            integer NOT NULL,
  handlers         text NOT NULL,             -- comma-separated
  queues           text NOT NULL DEFAULT 'default', -- comma-separated
  limits           text NOT NULL DEFAULT '',  -- of handlers: http=256,shell=64
  started_at       timestamptz NOT NULL,
  lease_expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Up to which number retention has removed events together with their executions: whoever follows the events from a place that is
-- gone can tell that from a database that was restored from an older copy.
CREATE TABLE removed_events (
  id    integer PRIMARY KEY,                  -- 1: there is one row
  up_to bigint NOT NULL
);
INSERT INTO removed_events (id, up_to) VALUES (1, 0);

-- Work in the background that one process at a time takes care of, on the database's clock. The row seal says that ends are sealed.
CREATE TABLE chores (
  name        text PRIMARY KEY,
  holder      text,                           -- who is at it; null: nobody
  expires_at  timestamptz,                    -- when others may take it from a holder that is silent
  finished_at timestamptz                     -- when it was last brought to its end
);
