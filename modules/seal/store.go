package seal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
)

// pending is an ended execution that has no seal for its end.
type pending struct {
	header Header
	digest Digest
}

// due gives executions to be sealed, by id.
func (s *Sealer) due(ctx context.Context, only []db.ID, limit int) ([]*pending, error) {
	var list []*pending
	args := db.Args{"limit": limit}
	among := ""
	if len(only) > 0 {
		among = ` AND p.id IN (SELECT id FROM $x)`
		args["x"] = db.IDSet(only)
	}
	err := s.db.Query(ctx, `SELECT p.id, p.pipeline_name, p.definition_version, p.version, p.seal FROM {pipeline_executions} AS p
WHERE p.seal_due = 1`+among+` ORDER BY p.id LIMIT $limit`, args, func(scan func(...any) error) error {
		x := &pending{}
		var former db.Text
		err := scan(&x.header.PipelineExecutionID, &x.header.PipelineName, &x.header.DefinitionVersion, &x.header.Version, &former)
		x.header.Former = string(former)
		list = append(list, x)
		return err
	})
	return list, wrap("look for executions to seal", err)
}

// batch seals some executions. The history is read without a lock: if an execution has gone on since, its version says so, and the
// seal is not written.
func (s *Sealer) batch(ctx context.Context, only []db.ID) (sealed int64, found int, err error) {
	list, err := s.due(ctx, only, perBatch)
	if err != nil || len(list) == 0 {
		return 0, 0, err
	}
	if err := s.read(ctx, list); err != nil {
		return 0, len(list), err
	}
	n := len(list)
	ids, seals, versions := make([]db.ID, n), make([]string, n), make([]int64, n)
	for i, x := range list {
		ids[i], seals[i], versions[i] = x.header.PipelineExecutionID, x.digest.Seal(x.header), x.header.Version
	}
	err = s.db.Transaction(ctx, func(tx db.Tx) (err error) {
		sealed, err = tx.Exec(`UPDATE {pipeline_executions} AS p SET former_seal = p.seal, seal = x.seal, sealed_version = x.version, seal_due = 0
FROM $x WHERE p.id = x.id AND p.version = x.version AND p.seal_due = 1`, db.Args{"x": db.IDSet(ids).Texts("seal", seals).Ints("version", versions)})
		return err
	})
	return sealed, n, wrap("write seals", err)
}

// read takes the histories up.
func (s *Sealer) read(ctx context.Context, list []*pending) error {
	ids := make([]db.ID, len(list))
	byID := make(map[db.ID]*pending, len(list))
	for i, x := range list {
		ids[i] = x.header.PipelineExecutionID
		byID[ids[i]] = x
	}
	err := s.db.Query(ctx, `SELECT pipeline_execution_id, id, task_execution_id, coalesce(version, 0), event_type, event_data, worker_id, actor, created_at
FROM {execution_events} WHERE pipeline_execution_id IN (SELECT id FROM $x) ORDER BY pipeline_execution_id, sequence_num`,
		db.Args{"x": db.IDSet(ids)}, func(scan func(...any) error) error {
			var e Event
			var of db.ID
			var data db.JSON
			var worker, actor db.Text
			var at db.Time
			var typ string
			if err := scan(&of, &e.ID, &e.TaskExecutionID, &e.Version, &typ, &data, &worker, &actor, &at); err != nil {
				return err
			}
			e.Type, e.Data, e.Worker, e.Actor, e.CreatedAt = events.Type(typ), data, string(worker), string(actor), at.UnixMicro()
			byID[of].digest.Add(&e)
			return nil
		})
	return wrap("read histories to seal", err)
}

// Root is one hash over all seals of a period.
type Root struct {
	Root       string  `json:"root"` // hex SHA-256 over a line for each seal: id, space, seal
	Executions int64   `json:"executions"`
	Unsealed   int64   `json:"unsealed"` // that ended in the period and have no seal of their end
	Since      db.Time `json:"since"`
	Until      db.Time `json:"until"`
}

// Root goes over the executions that ended in a period, from since on and before until, by their ids. Zero times are no bounds.
func (s *Sealer) Root(ctx context.Context, since, until db.Time) (Root, error) {
	r := Root{Since: since, Until: until}
	bounds, args := "", db.Args{"since": since, "until": until}
	if !since.IsZero() {
		bounds += ` AND completed_at >= $since`
	}
	if !until.IsZero() {
		bounds += ` AND completed_at < $until`
	}
	sum := sha256.New()
	err := s.db.Query(ctx, `SELECT id, seal, CASE WHEN seal IS NOT NULL AND sealed_version = version THEN 1 ELSE 0 END FROM {pipeline_executions}
WHERE status IN ('Completed', 'Failed', 'Cancelled')`+bounds+` ORDER BY id`, args, func(scan func(...any) error) error {
		var id db.ID
		var seal db.Text
		var sealed int
		if err := scan(&id, &seal, &sealed); err != nil {
			return err
		}
		if sealed == 0 {
			r.Unsealed++
			return nil
		}
		r.Executions++
		_, err := fmt.Fprintf(sum, "%s %s\n", id, seal)
		return err
	})
	r.Root = hex.EncodeToString(sum.Sum(nil))
	return r, wrap("read seals", err)
}
