package seal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/chores"
	"github.com/sluiceworks/sluice/platform/db"
)

// mark is the chore whose row says that ends are to be sealed; the transaction that ends an execution looks for it. sealing is the
// work itself.
const (
	mark    = "seal"
	sealing = "sealing"
)

// A batch is one read and one short transaction.
const perBatch = 100

// lookEvery is how often a server looks for ended executions that have no seal yet.
const lookEvery = 15 * time.Second

// Sealer seals ended executions, tenant by tenant. It is safe for concurrent use: a seal is written once for each end.
type Sealer struct {
	db     *db.DB
	chores *chores.Repository
}

// New makes a sealer over a database.
func New(d *db.DB, c *chores.Repository) *Sealer { return &Sealer{d, c} }

// Enable has every execution that ends from now on sealed, whichever process ends it.
func (s *Sealer) Enable(ctx context.Context) error {
	return s.db.Transaction(ctx, func(tx db.Tx) error { return s.chores.Ensure(tx, mark) })
}

// Disable has executions that end from now on left without a seal. Seals that there are stay.
func (s *Sealer) Disable(ctx context.Context) error {
	return s.db.Transaction(ctx, func(tx db.Tx) error { return s.chores.Remove(tx, mark) })
}

// Enabled reports whether ends are sealed.
func (s *Sealer) Enabled(ctx context.Context) (bool, error) {
	_, found, err := s.chores.Find(ctx, mark)
	return found, err
}

// Due has what ended before sealing was switched on, and still has its events, sealed too. It says how many executions.
func (s *Sealer) Due(ctx context.Context) (marked int64, err error) {
	var after db.ID
	for {
		var ids []db.ID
		beyond := ""
		if !after.IsZero() {
			beyond = `id > $after AND `
		}
		err := s.db.Query(ctx, `SELECT id FROM {pipeline_executions} WHERE `+beyond+`status IN ('Completed', 'Failed', 'Cancelled') AND seal_due = 0
  AND events_removed = 0 AND (sealed_version IS NULL OR sealed_version < version) ORDER BY id LIMIT 1000`, db.Args{"after": after},
			func(scan func(...any) error) error {
				ids = append(ids, db.ID{})
				return scan(&ids[len(ids)-1])
			})
		if err != nil || len(ids) == 0 {
			return marked, wrap("look for executions without a seal", err)
		}
		after = ids[len(ids)-1]
		n := int64(0)
		err = s.db.Transaction(ctx, func(tx db.Tx) (err error) {
			n, err = tx.Exec(`UPDATE {pipeline_executions} SET seal_due = 1 WHERE id IN (SELECT id FROM $x)
  AND status IN ('Completed', 'Failed', 'Cancelled') AND events_removed = 0`, db.Args{"x": db.IDSet(ids)})
			return err
		})
		if err != nil {
			return marked, wrap("mark executions to be sealed", err)
		}
		marked += n
	}
}

// Run seals what is due: all of it, or of the given executions. It says how many.
func (s *Sealer) Run(ctx context.Context, only ...db.ID) (sealed int64, err error) {
	for {
		n, found, err := s.batch(ctx, only)
		sealed += n
		// A batch of which nothing could be sealed has gone on meanwhile: it is for whoever comes when it ends again.
		if err != nil || found < perBatch || n == 0 {
			return sealed, err
		}
	}
}

// Watch seals what is due until ctx ends, as long as no other process is at it. What fails is logged and tried again.
func (s *Sealer) Watch(ctx context.Context, log *zap.Logger) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	me := db.NewID().String()
	for {
		if err := s.look(ctx, me); err != nil && ctx.Err() == nil {
			log.Warn("ended executions wait for their seals", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Sealer) look(ctx context.Context, me string) error {
	due, err := s.due(ctx, nil, 1)
	if err != nil || len(due) == 0 {
		return err
	}
	taken, err := s.chores.Take(ctx, sealing, me, 0)
	if err != nil || !taken {
		return err
	}
	_, err = s.Run(ctx)
	return errors.Join(err, s.chores.Release(context.WithoutCancel(ctx), sealing, me, err == nil))
}

func wrap(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
