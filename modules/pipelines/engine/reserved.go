package engine

import (
	"context"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// A run can be reserved for one worker, the `sluice run` process that started or retried it. Its outbox rows are then
// in a private queue that no other worker polls. The reservation ends when the run ends, or in the transaction that
// deletes the worker's row.

// Deregister deletes a worker that holds no tasks. After the commit, any worker can claim the tasks that were reserved
// for it.
func (e *Engine) Deregister(ctx context.Context, worker string) error {
	published := int64(0)
	err := e.db.Transaction(ctx, func(tx db.Tx) (err error) {
		if err = e.leases.Delete(tx, []string{worker}); err == nil {
			published, err = e.publish(tx, []string{worker})
		}
		return err
	})
	if err == nil {
		e.notifier.committed(ctx, published > 0)
	}
	return err
}

// publish ends the reservations of workers that this transaction deletes. It clears them, moves the outbox rows to the
// queues of their tasks, and returns the number of those rows. It locks the executions first, as every change of outbox
// rows must.
func (e *Engine) publish(tx db.Tx, workers []string) (int64, error) {
	ids, err := e.pipelines.reserved(tx, workers)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	if err := e.pipelines.clearReserved(tx, ids); err != nil {
		return 0, err
	}
	n, err := e.outbox.Publish(tx, workers)
	if n > 0 {
		tx.Notify(TopicReady)
	}
	return n, err
}

// checkReserved returns leases.ErrExpired if one of the workers has no valid lease. Otherwise their rows stay until the
// transaction ends. A reservation for a worker without a row would never end.
func (e *Engine) checkReserved(tx db.Tx, workers ...string) error {
	for _, worker := range workers {
		if worker == "" {
			continue
		}
		b := tx.Batch()
		valid := e.leases.Check(b, worker)
		if err := b.Send(); err != nil {
			return err
		}
		if !*valid {
			return leases.ErrExpired
		}
	}
	return nil
}

// reserved locks the executions that are reserved for one of the workers, and returns their ids.
func (r *Repository) reserved(tx db.Tx, workers []string) ([]dbtype.ID, error) {
	var ids []dbtype.ID
	err := tx.Query(`SELECT id FROM {pipeline_executions} WHERE reserved_for IS NOT NULL
  AND reserved_for IN (SELECT x.worker FROM $x) ORDER BY id $for_update`,
		db.Args{"x": db.NewRowSet(len(workers)).Texts("worker", workers)}, func(scan db.Scan) error {
			ids = append(ids, dbtype.ID{})
			return scan(&ids[len(ids)-1])
		})
	return ids, db.Wrap("find reserved pipeline executions", err)
}

func (r *Repository) clearReserved(tx db.Tx, ids []dbtype.ID) error {
	_, err := tx.Exec(`UPDATE {pipeline_executions} SET reserved_for = NULL WHERE id IN (SELECT x.id FROM $x)`,
		db.Args{"x": db.IDRows(ids)})
	return db.Wrap("end reservations", err)
}

// reserve reserves restarted executions for a worker. It does nothing if worker is empty, because ended executions have
// no reservation.
func (r *Repository) reserve(b *db.Batch, ids []dbtype.ID, worker string) {
	if worker != "" {
		b.Exec("reserve pipeline executions",
			`UPDATE {pipeline_executions} SET reserved_for = $worker WHERE id IN (SELECT x.id FROM $x)`,
			db.Args{"worker": worker, "x": db.IDRows(ids)})
	}
}
