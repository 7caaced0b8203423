package bench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// handlerName is the handler of the benchmark's definitions. Only the processes of a benchmark have this handler.
const handlerName = "bench"

// Settings are the settings of the handler. They are the same in all processes of a benchmark.
type Settings struct {
	Payload     int           // bytes of output, different for each task; 0: no output
	Sleep       time.Duration // how long the handler runs
	SampleEvery int           // one of this many runs is observed task by task, to limit memory; at least 1
}

// Handler is the handler of the benchmark's tasks. It does nothing until observe is called. After that it sleeps and
// returns output as its settings say, and records samples.
type Handler struct {
	settings  Settings
	observing atomic.Bool

	mu      sync.Mutex
	samples []Sample
}

// Sample is one call of the handler. Times are microseconds since 1970 by the database's clock.
type Sample struct {
	Execution dbtype.ID `json:"e"`
	Index     int       `json:"p"` // index of the task in its run
	Begin     int64     `json:"b"`
	End       int64     `json:"t"`
}

// NewHandler returns a Handler.
func NewHandler(s Settings) *Handler { return &Handler{settings: s} }

// Name returns "bench".
func (h *Handler) Name() string { return handlerName }

// Check returns an error if a task has settings, because the handler takes none.
func (h *Handler) Check(with map[string]any) error {
	for key := range with {
		return &tasks.FieldError{Field: key, Msg: "the handler takes nothing"}
	}
	return nil
}

// Run does the work. Before the measurement it returns at once.
func (h *Handler) Run(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error) {
	if !h.observing.Load() {
		return nil, nil
	}
	begin := call.Now().UnixMicro()
	if err := pause(ctx, h.settings.Sleep); err != nil {
		return nil, err
	}
	out := payload(h.settings.Payload, call.TaskExecutionID)
	if h.observed(call.PipelineExecutionID) {
		s := Sample{Execution: call.PipelineExecutionID, Index: indexOf(call.TaskName), Begin: begin, End: call.Now().
			UnixMicro()}
		h.mu.Lock()
		h.samples = append(h.samples, s)
		h.mu.Unlock()
	}
	return out, nil
}

// observed reports whether a run is observed. It depends only on random bits of the id, so that all processes select
// the same runs.
func (h *Handler) observed(id dbtype.ID) bool {
	return binary.BigEndian.Uint32(id[12:])%uint32(max(h.settings.SampleEvery, 1)) == 0
}

// observe discards the samples and begins to record new ones.
func (h *Handler) observe() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = nil
	h.observing.Store(true)
}

// noted returns the recorded samples.
func (h *Handler) noted() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.samples
}

const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"

// payload returns a JSON text of n bytes that compresses badly and differs for each task.
func payload(n int, id dbtype.ID) json.RawMessage {
	switch n {
	case 0:
		return nil
	case 1:
		return json.RawMessage{'0' + id[15]%10}
	}
	random := rand.NewPCG(binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:]))
	out := make(json.RawMessage, n)
	var bits uint64
	for i := range out {
		if i%10 == 0 {
			bits = random.Uint64()
		}
		out[i], bits = letters[bits&63], bits>>6
	}
	out[0], out[n-1] = '"', '"'
	return out
}

// pause waits for d. It returns an error if ctx ends earlier.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("interrupted: %w", ctx.Err())
	}
}
