-- +goose Up
-- What has ended, by pipeline and status, newest first, and counts of both. One entry a run, when it ends: what is open is few.
CREATE INDEX pipeline_executions_ended ON pipeline_executions (pipeline_name, status, id) WHERE status IN ('Completed', 'Failed', 'Cancelled');
-- What ended badly: few rows, so a search in their errors reads no others.
CREATE INDEX pipeline_executions_failed ON pipeline_executions (id) WHERE status IN ('Failed', 'Cancelled');
-- What a run was marked with. A run without labels has no row here.
CREATE TABLE execution_labels (
  name                  text NOT NULL,
  value                 text NOT NULL,
  pipeline_execution_id blob NOT NULL,
  PRIMARY KEY (name, value, pipeline_execution_id)
) WITHOUT ROWID;
CREATE INDEX execution_labels_execution ON execution_labels (pipeline_execution_id);
-- +goose StatementBegin
CREATE VIEW execution_labels_text AS SELECT
  lower(substr(hex(pipeline_execution_id),1,8)||'-'||substr(hex(pipeline_execution_id),9,4)||'-'||substr(hex(pipeline_execution_id),13,4)||'-'||substr(hex(pipeline_execution_id),17,4)||'-'||substr(hex(pipeline_execution_id),21)) AS pipeline_execution_id,
  name, value
FROM execution_labels;
-- +goose StatementEnd
