package outbox

import (
	"fmt"
	"strings"

	"github.com/sluiceworks/sluice/platform/db"
)

// privateMark is the prefix of private queues. Tasks and workers cannot name a queue with this prefix.
const privateMark = "@"

// PrivateQueue returns the name of the queue for the tasks of a run that is reserved for one worker. Other workers do
// not poll this queue.
func PrivateQueue(worker string) string { return privateMark + worker }

// PrivateWorker returns the worker that a private queue belongs to. ok is false for any other queue.
func PrivateWorker(queue string) (worker string, ok bool) {
	return strings.CutPrefix(queue, privateMark)
}

// Publish moves the rows from the private queues of workers to the queues of their tasks. It returns how many rows it
// moved.
func (r *Repository) Publish(tx db.Tx, workers []string) (int64, error) {
	queues := make([]string, len(workers))
	for i, w := range workers {
		queues[i] = PrivateQueue(w)
	}
	n, err := tx.Exec(`UPDATE {task_outbox} AS o SET queue = (SELECT t.queue FROM {task_executions} AS t
  WHERE t.id = o.task_execution_id)
WHERE o.queue IN (SELECT x.queue FROM $x)`, db.Args{"x": db.NewRowSet(len(queues)).Texts("queue", queues)})
	if err != nil {
		return 0, fmt.Errorf("move rows out of private queues: %w", err)
	}
	return n, nil
}
