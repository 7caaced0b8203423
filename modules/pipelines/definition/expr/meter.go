package expr

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"sync/atomic"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// Limits of one evaluation. A step is the evaluation of one operator, name, literal or function, or native work that
// takes about as long.
const (
	resolveSteps  = 4_000_000 // for all expressions in a task's with, run and env together
	resolveMemory = 48 << 20  // in bytes, including the decoded values

	conditionSteps  = 1_000_000 // for one condition, which the engine evaluates in a transaction
	conditionMemory = 48 << 20
	planSteps       = 8_000_000 // for all conditions decided in one step of a run

	maxValueDepth = jsonvalue.MaxDepth // levels of nested lists and objects
)

// errBudget is the error of an evaluation that exceeds a limit.
var errBudget = errors.New("the expression is too expensive")

// meter bounds the time and memory of one evaluation.
type meter struct {
	ctx      context.Context // ends the evaluation; nil: only the limits end it
	steps    int64           // remaining
	memory   int64           // remaining, in bytes
	poll     int64           // the number of remaining steps at which ctx is checked next
	maxSteps limits
	heavy    bool // the evaluation holds the gate
}

// limits are the initial values of a meter.
type limits struct {
	steps, memory int64
	gated         bool // evaluations that allocate more than ungated wait for the gate
}

const pollSteps = 10_000

func newMeter(l limits) *meter {
	return &meter{steps: l.steps, memory: l.memory, poll: l.steps - pollSteps, maxSteps: l}
}

// gate allows one gated evaluation at a time in this process to allocate more than ungated bytes.
var gate = make(chan struct{}, 1)

const ungated = 8 << 20

// step counts n steps of work.
func (m *meter) step(n int64) error {
	m.steps -= n
	if m.steps < m.poll {
		return m.checkContext()
	}
	return nil
}

func (m *meter) checkContext() error {
	if m.steps < 0 {
		return fmt.Errorf("%w: it takes more than %d steps", errBudget, m.maxSteps.steps)
	}
	m.poll = m.steps - pollSteps
	if m.ctx != nil && m.ctx.Err() != nil {
		return fmt.Errorf("evaluation stopped: %w", context.Cause(m.ctx))
	}
	return nil
}

// alloc counts bytes that are about to be allocated, and the time to fill them.
func (m *meter) alloc(bytes int64) error {
	m.memory -= bytes
	if m.memory < 0 || bytes < 0 {
		return fmt.Errorf("%w: it needs more than %d MiB of memory", errBudget, m.maxSteps.memory>>20)
	}
	if m.maxSteps.gated && !m.heavy && m.maxSteps.memory-m.memory > ungated {
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

// close ends the evaluation. It runs the garbage collector after a large one. The collector would otherwise wait
// until the heap has grown by a multiple of what was live at its last run, which may have been during such an
// evaluation.
func (m *meter) close() {
	switch {
	case m.heavy:
		m.heavy = false
		runtime.GC()
		<-gate
	case m.maxSteps.memory-m.memory > ungated && collecting.CompareAndSwap(false, true):
		go func() { // so that a transaction need not wait for it
			runtime.GC()
			collecting.Store(false)
		}()
	}
}

var collecting atomic.Bool

// text counts a string of n bytes that is about to be allocated.
func (m *meter) text(n int) error { return m.alloc(int64(n) + 16) }

// list counts a list of n elements that is about to be allocated.
func (m *meter) list(n int) error { return m.alloc(int64(n)*16 + 24) }

// object counts an object of n keys that is about to be allocated.
func (m *meter) object(n int) error { return m.alloc(int64(n)*64 + 48) }

// scan counts a pass over n bytes.
func (m *meter) scan(n int) error { return m.step(int64(n)>>6 + 1) }

// sorting counts the sorting of n elements.
func (m *meter) sorting(n int) error { return m.step(int64(n)*int64(bits.Len(uint(n)))/4 + 1) }

// times multiplies two sizes. On overflow it returns a value that exceeds every limit.
func times(a, b int) int64 {
	high, low := bits.Mul64(uint64(max(a, 0)), uint64(max(b, 0)))
	if high != 0 || low > 1<<62 {
		return 1 << 62
	}
	return int64(low)
}
