package seal

import (
	"context"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// read reads what the seals cover other than the executions' rows. Each row is hashed when it is read, so memory
// holds only the hashes and one row.
func (s *Sealer) read(ctx context.Context, list []*pending) error {
	ids := make([]dbtype.ID, len(list))
	byID := make(map[dbtype.ID]*pending, len(list))
	for i, x := range list {
		ids[i] = x.parts.Header.PipelineExecutionID
		byID[ids[i]] = x
	}
	args := db.Args{"x": db.IDRows(ids)}
	for _, part := range []struct {
		what, statement string
		row             func(scan db.Scan) error
	}{
		{"definitions", selectDefinitions, ofDefinition(list)},
		{"labels", selectLabels, ofLabel(byID)},
		{"outputs", selectOutputs, ofOutput(byID)},
		{"histories", selectEvents, ofEvent(byID)},
	} {
		if err := s.db.Query(ctx, part.statement, args, part.row); err != nil {
			return db.Wrap("read "+part.what+" to seal", err)
		}
	}
	return nil
}

const (
	selectDefinitions = `SELECT d.pipeline_name, d.version, d.definition FROM {pipeline_definitions} AS d
WHERE EXISTS (SELECT 1 FROM {pipeline_executions} AS p WHERE p.pipeline_name = d.pipeline_name
  AND p.definition_version = d.version
  AND p.id IN (SELECT id FROM $x))`
	selectLabels = `SELECT l.pipeline_execution_id, l.name, l.value FROM {execution_labels} AS l
WHERE l.pipeline_execution_id IN (SELECT id FROM $x)`
	selectOutputs = `SELECT t.pipeline_execution_id, t.id, t.output FROM {task_executions} AS t
WHERE t.pipeline_execution_id IN (SELECT id FROM $x) AND t.output IS NOT NULL`
	selectEvents = `SELECT pipeline_execution_id, id, task_execution_id, coalesce(version, 0),
  event_type, event_data, worker_id, actor, created_at
FROM {execution_events} WHERE pipeline_execution_id IN (SELECT id FROM $x) ORDER BY pipeline_execution_id, sequence_num`
)

func ofDefinition(list []*pending) func(scan db.Scan) error {
	return func(scan db.Scan) error {
		var name, version string
		var doc dbtype.JSON
		if err := scan(&name, &version, &doc); err != nil {
			return err
		}
		sum := Hash(doc)
		for _, x := range list {
			if h := x.parts.Header; h.PipelineName == name && h.DefinitionVersion == version {
				x.parts.Definition = sum
			}
		}
		return nil
	}
}

func ofLabel(byID map[dbtype.ID]*pending) func(scan db.Scan) error {
	return func(scan db.Scan) error {
		var of dbtype.ID
		var l Label
		if err := scan(&of, &l.Name, &l.Value); err != nil {
			return err
		}
		p := &byID[of].parts
		p.Labels = append(p.Labels, l)
		return nil
	}
}

func ofOutput(byID map[dbtype.ID]*pending) func(scan db.Scan) error {
	return func(scan db.Scan) error {
		var of, task dbtype.ID
		var doc dbtype.JSON
		if err := scan(&of, &task, &doc); err != nil {
			return err
		}
		if sum := Hash(doc); sum != "" {
			p := &byID[of].parts
			p.Outputs = append(p.Outputs, Output{task, sum})
		}
		return nil
	}
}

func ofEvent(byID map[dbtype.ID]*pending) func(scan db.Scan) error {
	return func(scan db.Scan) error {
		var e Event
		var of dbtype.ID
		var data dbtype.JSON
		var worker, actor dbtype.Text
		var at dbtype.Time
		var typ string
		if err := scan(&of, &e.ID, &e.TaskExecutionID, &e.Version, &typ, &data, &worker, &actor, &at); err != nil {
			return err
		}
		e.Type, e.Data, e.Worker, e.Actor, e.CreatedAt = events.Type(typ), data, string(worker), string(actor),
			at.UnixMicro()
		byID[of].digest.Add(&e)
		return nil
	}
}
