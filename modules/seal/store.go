package seal

import (
	"context"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// pending is an ended execution without a seal of its end.
type pending struct {
	parts  Parts
	digest Digest
}

// due returns executions that are to be sealed, by id.
func (s *Sealer) due(ctx context.Context, only []dbtype.ID, limit int) ([]*pending, error) {
	var list []*pending
	args := db.Args{"limit": limit}
	among := ""
	if len(only) > 0 {
		among = ` AND p.id IN (SELECT id FROM $x)`
		args["x"] = db.IDRows(only)
	}
	err := s.db.Query(ctx,
		`SELECT p.id, p.pipeline_name, p.definition_version, p.version, p.seal, p.idempotency_key, p.input
  FROM {pipeline_executions} AS p
WHERE p.seal_due = 1`+among+` ORDER BY p.id LIMIT $limit`, args, func(scan db.Scan) error {
			x := &pending{}
			var former, key dbtype.Text
			var input dbtype.JSON
			h := &x.parts.Header
			err := scan(&h.PipelineExecutionID, &h.PipelineName, &h.DefinitionVersion, &h.Version, &former, &key,
				&input)
			h.Previous, x.parts.IdempotencyKey, x.parts.Input = string(former), string(key), Hash(input)
			list = append(list, x)
			return err
		})
	return list, db.Wrap("look for executions to seal", err)
}

// batch seals some executions. It reads the history without a lock. If an execution has changed since, its version
// differs and the seal is not written.
func (s *Sealer) batch(ctx context.Context, only []dbtype.ID) (sealed int64, found int, err error) {
	list, err := s.due(ctx, only, batchSize)
	if err != nil || len(list) == 0 {
		return 0, 0, err
	}
	if err := s.read(ctx, list); err != nil {
		return 0, len(list), err
	}
	n := len(list)
	ids, seals, parts, versions := make([]dbtype.ID, n), make([]string, n), make([]string, n), make([]int64, n)
	for i, x := range list {
		x.parts.Events = x.digest.History()
		parts[i] = x.parts.Text()
		ids[i], seals[i], versions[i] = x.parts.Header.PipelineExecutionID, Of(parts[i]), x.parts.Header.Version
	}
	err = s.db.Transaction(ctx, func(tx db.Tx) (err error) {
		sealed, err = tx.Exec(
			`UPDATE {pipeline_executions} AS p SET former_seal = p.seal, seal = x.seal, seal_parts = x.parts,
  sealed_version = x.version, seal_due = 0 FROM $x WHERE p.id = x.id AND p.version = x.version AND p.seal_due = 1`,
			db.Args{"x": db.IDRows(ids).Texts("seal", seals).Texts("parts", parts).Ints("version", versions)})
		return err
	})
	return sealed, n, db.Wrap("write seals", err)
}
