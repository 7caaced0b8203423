package workers

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// Echo opens a copy of a stream of a claimed task. The copy receives the output while the attempt writes it, and is
// closed when the attempt has ended. Write must not block and must not return an error.
type Echo func(t tasks.Task, stream tasks.Stream) io.WriteCloser

// logsEvery is how long output waits before it is stored, unless its attempt ends earlier.
const logsEvery = time.Second

// maxLogChunks limits the log text of one transaction of the collector, in bytes. On SQLite, other writers wait for
// each transaction.
const maxLogChunks = 1 << 20

// logCollector stores the output of the pool's running attempts about once per second, in separate transactions. Output
// that is left when an attempt ends is stored with its outcome.
type logCollector struct {
	pool   *Pool
	wakeup chan struct{} // output is waiting to be stored
	queue  []tasks.Written

	mu      sync.Mutex
	ready   []*tasks.Output // outputs with unstored data
	refused []tasks.Written // output of attempts whose claims were lost
}

func newCollector(p *Pool) *logCollector {
	return &logCollector{pool: p, wakeup: make(chan struct{}, 1)}
}

// add registers an output that has data to store.
func (c *logCollector) add(o *tasks.Output) {
	c.mu.Lock()
	c.ready = append(c.ready, o)
	c.mu.Unlock()
	c.wake()
}

// addRefused keeps the output of an attempt whose outcome was refused, so that it is stored all the same.
func (c *logCollector) addRefused(w tasks.Written) {
	if w.Empty() {
		return
	}
	c.mu.Lock()
	c.refused = append(c.refused, w)
	c.mu.Unlock()
	c.wake()
}

func (c *logCollector) wake() {
	select {
	case c.wakeup <- struct{}{}:
	default:
	}
}

// run stores output until ctx ends.
func (c *logCollector) run(ctx context.Context) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wakeup:
		}
		sleep(ctx, logsEvery)
		if ctx.Err() != nil {
			return
		}
		err := c.store(ctx)
		if err != nil && ctx.Err() == nil {
			c.wake()
			if !failing {
				c.pool.log.Warn("storing logs failed, trying again", zap.Error(err))
			}
		}
		failing = err != nil
	}
}

// flush stores the remaining output when the pool stops.
func (c *logCollector) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, shutdownWriteTimeout)
	defer cancel()
	if err := c.store(ctx); err != nil {
		c.pool.log.Warn("failed to store the last logs", zap.Error(err))
	}
}

// store writes all waiting output. Output that could not be written stays in queue and is written first next time.
// Output that the database rejects is logged and dropped.
func (c *logCollector) store(ctx context.Context) error {
	if len(c.queue) == 0 {
		c.mu.Lock()
		ready := c.ready
		c.queue, c.ready, c.refused = c.refused, nil, nil
		c.mu.Unlock()
		for _, o := range ready {
			if w := o.Take(); !w.Empty() {
				c.queue = append(c.queue, w)
			}
		}
	}
	for len(c.queue) > 0 {
		n := batch(c.queue)
		err := c.pool.engine.SaveLogs(ctx, c.queue[:n])
		if err != nil && !errors.Is(err, db.ErrDataRejected) {
			return err
		}
		if err != nil {
			c.pool.log.Error("the database rejected logs: they are dropped", zap.Error(err))
		}
		c.queue = c.queue[n:]
	}
	c.queue = nil
	return nil
}

// batch returns how many elements of the list fit into one transaction, at least one.
func batch(list []tasks.Written) int {
	bytes := 0
	for i := range list {
		for _, c := range list[i].Chunks {
			bytes += len(c.Text)
		}
		if bytes > maxLogChunks {
			return max(i, 1)
		}
	}
	return len(list)
}

// writers returns the writers for an attempt's output, and a function that closes the copies at its end.
func (p *Pool) writers(c *pipelines.Claim, written *tasks.Output) (stdout, stderr io.Writer, end func()) {
	stdout, stderr = written.Writer(tasks.Stdout), written.Writer(tasks.Stderr)
	if p.config.Echo == nil {
		return stdout, stderr, func() {}
	}
	first, second := p.config.Echo(c.Task, tasks.Stdout), p.config.Echo(c.Task, tasks.Stderr)
	return io.MultiWriter(stdout, first), io.MultiWriter(stderr, second), func() {
		_, _ = first.Close(), second.Close() // a failed copy must not fail the task
	}
}
