package seal

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/chores"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// mark is the chore whose row means that sealing is enabled; the transaction that ends an execution looks for it.
// sealing is the chore of the work itself.
const (
	mark    = "seal"
	sealing = "sealing"
)

// batchSize is the number of executions that one read and one short transaction seal.
const batchSize = 100

// pollInterval is the interval at which a server polls for ended executions without a seal.
const pollInterval = 15 * time.Second

// Sealer seals ended executions, for one tenant per call. It is safe for concurrent use: each end gets one seal.
type Sealer struct {
	db     *db.DB
	chores *chores.Repository
}

// New returns a Sealer for a database.
func New(d *db.DB, c *chores.Repository) *Sealer { return &Sealer{d, c} }

// Enable turns sealing on for executions that end from now on, whichever process ends them.
func (s *Sealer) Enable(ctx context.Context) error {
	return s.db.Transaction(ctx, func(tx db.Tx) error { return s.chores.Ensure(tx, mark) })
}

// Disable turns sealing off for executions that end from now on. Existing seals are kept.
func (s *Sealer) Disable(ctx context.Context) error {
	return s.db.Transaction(ctx, func(tx db.Tx) error { return s.chores.Remove(tx, mark) })
}

// Enabled reports whether sealing is on.
func (s *Sealer) Enabled(ctx context.Context) (bool, error) {
	_, found, err := s.chores.Find(ctx, mark)
	return found, err
}

// MarkUnsealed marks the executions that ended without a seal, and still have all their events, as due to be sealed. It
// returns their number.
func (s *Sealer) MarkUnsealed(ctx context.Context) (marked int64, err error) {
	var after dbtype.ID
	for {
		var ids []dbtype.ID
		beyond := ""
		if !after.IsZero() {
			beyond = `id > $after AND `
		}
		err := s.db.Query(ctx, `SELECT id FROM {pipeline_executions} WHERE `+beyond+
			`status IN ('Completed', 'Failed', 'Cancelled') AND seal_due = 0
  AND events_removed = 0 AND (sealed_version IS NULL OR sealed_version < version)
  ORDER BY id LIMIT 1000`, db.Args{"after": after},
			func(scan db.Scan) error {
				ids = append(ids, dbtype.ID{})
				return scan(&ids[len(ids)-1])
			})
		if err != nil || len(ids) == 0 {
			return marked, db.Wrap("look for executions without a seal", err)
		}
		after = ids[len(ids)-1]
		n := int64(0)
		err = s.db.Transaction(ctx, func(tx db.Tx) (err error) {
			n, err = tx.Exec(`UPDATE {pipeline_executions} SET seal_due = 1 WHERE id IN (SELECT id FROM $x)
  AND status IN ('Completed', 'Failed', 'Cancelled') AND events_removed = 0`, db.Args{"x": db.IDRows(ids)})
			return err
		})
		if err != nil {
			return marked, db.Wrap("mark executions to be sealed", err)
		}
		marked += n
	}
}

// Run seals the executions that are due, or of them only the given ones. It returns the number sealed.
func (s *Sealer) Run(ctx context.Context, only ...dbtype.ID) (sealed int64, err error) {
	for {
		n, found, err := s.batch(ctx, only)
		sealed += n
		// If nothing in the batch could be sealed, its executions have changed since they were read. They are sealed
		// after they end again.
		if err != nil || found < batchSize || n == 0 {
			return sealed, err
		}
	}
}

// RunEvery seals the executions that are due until ctx ends, while no other process does. Errors are logged, and the
// next poll tries again.
func (s *Sealer) RunEvery(ctx context.Context, log *zap.Logger) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	me := dbtype.NewID().String()
	for {
		if err := s.sealDue(ctx, me); err != nil && ctx.Err() == nil {
			log.Warn("ended executions wait for their seals", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Sealer) sealDue(ctx context.Context, me string) error {
	due, err := s.due(ctx, nil, 1)
	if err != nil || len(due) == 0 {
		return err
	}
	taken, err := s.chores.Acquire(ctx, sealing, me, 0)
	if err != nil || !taken {
		return err
	}
	_, err = s.Run(ctx)
	return errors.Join(err, s.chores.Release(context.WithoutCancel(ctx), sealing, me, err == nil))
}
