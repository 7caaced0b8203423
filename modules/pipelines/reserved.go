package pipelines

import (
	"context"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/platform/db"
)

// A run may be reserved for one worker: that of the process that started it, or started it again, to work it off
// itself. Its outbox rows then lie in a queue that no other worker looks at. The reservation ends with the run, or with
// the worker's row, in the transaction that removes that row.

// Deregister removes a worker that holds no task any more. What was reserved for it any worker may claim from then on.
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

// publish ends the reservations of workers whose rows this transaction removes: it clears them and moves the outbox
// rows to the queues of their tasks. It returns how many rows those were. The executions are locked first, as every
// change of the outbox has it.
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

// checkReserved sees that whom a run is to be reserved for is there, and stays until the transaction ends: else nobody
// would end the reservation.
func (e *Engine) checkReserved(tx db.Tx, workers ...string) error {
	for _, worker := range workers {
		if worker == "" {
			continue
		}
		valid := false
		err := e.leases.QueueCheck(tx, worker, &valid)
		if err == nil {
			err = tx.SendBatch()
		}
		if err != nil {
			return err
		}
		if !valid {
			return leases.ErrExpired
		}
	}
	return nil
}

// reserved locks the executions that are reserved for workers.
func (r *Repository) reserved(tx db.Tx, workers []string) ([]db.ID, error) {
	var ids []db.ID
	err := tx.Query(`SELECT id FROM {pipeline_executions} WHERE reserved_for IS NOT NULL AND reserved_for IN (SELECT x.worker FROM $x) ORDER BY id $for_update`,
		db.Args{"x": db.NewRowSet(len(workers)).Texts("worker", workers)}, func(scan func(...any) error) error {
			ids = append(ids, db.ID{})
			return scan(&ids[len(ids)-1])
		})
	return ids, wrap("find reserved pipeline executions", err)
}

func (r *Repository) clearReserved(tx db.Tx, ids []db.ID) error {
	_, err := tx.Exec(`UPDATE {pipeline_executions} SET reserved_for = NULL WHERE id IN (SELECT x.id FROM $x)`, db.Args{"x": db.IDRows(ids)})
	return wrap("end reservations", err)
}

// reserve reserves executions that run again for a worker. It does nothing without one: what has ended is reserved for
// nobody.
func (r *Repository) reserve(tx db.Tx, ids []db.ID, worker string) error {
	if worker == "" {
		return nil
	}
	_, err := tx.Exec(`UPDATE {pipeline_executions} SET reserved_for = $worker WHERE id IN (SELECT x.id FROM $x)`,
		db.Args{"worker": worker, "x": db.IDRows(ids)})
	return wrap("reserve pipeline executions", err)
}
