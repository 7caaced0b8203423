package outbox

import (
	"fmt"
	"strings"

	"github.com/sluiceworks/sluice/platform/db"
)

// privateMark begins the names of private queues. No task and no worker can name such a queue.
const privateMark = "@"

// PrivateQueue is the queue in which the tasks of a run lie that is reserved for one worker. Other workers do not look
// there.
func PrivateQueue(worker string) string { return privateMark + worker }

// PrivateWorker returns the worker that a private queue belongs to; ok is false for any other queue.
func PrivateWorker(queue string) (worker string, ok bool) {
	return strings.CutPrefix(queue, privateMark)
}

// Publish moves the rows of private queues to the queues of their tasks, and returns how many there were.
func (r *Repository) Publish(tx db.Tx, workers []string) (int64, error) {
	queues := make([]string, len(workers))
	for i, w := range workers {
		queues[i] = PrivateQueue(w)
	}
	n, err := tx.Exec(`UPDATE {task_outbox} AS o SET queue = (SELECT t.queue FROM {task_executions} AS t WHERE t.id = o.task_execution_id)
WHERE o.queue IN (SELECT x.queue FROM $x)`, db.Args{"x": db.NewRowSet(len(queues)).Texts("queue", queues)})
	if err != nil {
		return 0, fmt.Errorf("move rows out of private queues: %w", err)
	}
	return n, nil
}
