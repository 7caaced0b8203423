package definition

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"sync/atomic"
)

// Limits of one evaluation. A step is the evaluation of one operator, name, literal or function, or native work that takes about as long.
const (
	resolveSteps  = 4_000_000 // of all expressions in a task's with, run and env together
	resolveMemory = 48 << 20  // bytes, those of the decoded values included

	conditionSteps  = 1_000_000 // of one condition: the engine evaluates it within a transaction
	conditionMemory = 48 << 20
	planSteps       = 8_000_000 // of all conditions that are decided in one step of a run

	maxValueDepth = maxDepth // of lists and objects in one another
)

// errBudget is what an evaluation that breaches a limit ends with.
var errBudget = errors.New("the expression is too expensive")

// meter bounds one evaluation in time and memory.
type meter struct {
	ctx    context.Context // ends the evaluation; nil: only the limits do
	steps  int64           // left
	memory int64           // left, in bytes
	poll   int64           // the number of steps left at which ctx is looked at next
	most   limits
	heavy  bool // the evaluation holds the gate
}

// limits are what a meter begins with.
type limits struct {
	steps, memory int64
	gated         bool // an evaluation that allocates much waits for others that do
}

const pollSteps = 10_000

func newMeter(l limits) *meter {
	return &meter{steps: l.steps, memory: l.memory, poll: l.steps - pollSteps, most: l}
}

// gate lets one evaluation at a time, in this process, allocate more than ungated bytes.
var gate = make(chan struct{}, 1)

const ungated = 8 << 20

// step counts native work of so many steps.
func (m *meter) step(n int64) error {
	m.steps -= n
	if m.steps < m.poll {
		return m.look()
	}
	return nil
}

func (m *meter) look() error {
	if m.steps < 0 {
		return fmt.Errorf("%w: it takes more than %d steps", errBudget, m.most.steps)
	}
	m.poll = m.steps - pollSteps
	if m.ctx != nil && m.ctx.Err() != nil {
		return fmt.Errorf("evaluation stopped: %w", context.Cause(m.ctx))
	}
	return nil
}

// alloc counts bytes that are about to be allocated; to fill them takes time, too.
func (m *meter) alloc(bytes int64) error {
	m.memory -= bytes
	if m.memory < 0 || bytes < 0 {
		return fmt.Errorf("%w: it needs more than %d MiB of memory", errBudget, m.most.memory>>20)
	}
	if m.most.gated && !m.heavy && m.most.memory-m.memory > ungated {
		if err := m.enter(); err != nil {
			return err
		}
	}
	return m.step(bytes >> 8)
}

// enter waits for the gate.
func (m *meter) enter() error {
	var done <-chan struct{}
	if m.ctx != nil {
		done = m.ctx.Done()
	}
	select {
	case gate <- struct{}{}:
		m.heavy = true
		return nil
	case <-done:
		return fmt.Errorf("evaluation stopped: %w", context.Cause(m.ctx))
	}
}

// close ends the evaluation. What a large one leaves is collected at once: the collector waits until the heap has grown by a multiple of
// what was alive at its last run, which may have been in the midst of such an evaluation.
func (m *meter) close() {
	switch {
	case m.heavy:
		m.heavy = false
		runtime.GC()
		<-gate
	case m.most.memory-m.memory > ungated && collecting.CompareAndSwap(false, true):
		go func() { // a transaction does not wait for it
			runtime.GC()
			collecting.Store(false)
		}()
	}
}

var collecting atomic.Bool

// text counts a string of n bytes that is about to be made.
func (m *meter) text(n int) error { return m.alloc(int64(n) + 16) }

// list counts a list of n elements that is about to be made.
func (m *meter) list(n int) error { return m.alloc(int64(n)*16 + 24) }

// object counts an object of n keys that is about to be made.
func (m *meter) object(n int) error { return m.alloc(int64(n)*64 + 48) }

// scan counts a pass over n bytes.
func (m *meter) scan(n int) error { return m.step(int64(n)>>6 + 1) }

// sorting counts the sorting of n elements.
func (m *meter) sorting(n int) error { return m.step(int64(n)*int64(bits.Len(uint(n)))/4 + 1) }

// times multiplies sizes; the result is too large for every budget where it would overflow.
func times(a, b int) int64 {
	high, low := bits.Mul64(uint64(max(a, 0)), uint64(max(b, 0)))
	if high != 0 || low > 1<<62 {
		return 1 << 62
	}
	return int64(low)
}
