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
	"github.com/sluiceworks/sluice/platform/db"
)

// handlerName is what the benchmark's definitions use. Only the processes of a benchmark have it.
const handlerName = "bench"

// Settings are what the handler does, the same in each process of a benchmark.
type Settings struct {
	Payload int           // bytes of output, no two alike; 0: none
	Sleep   time.Duration // how long the handler runs
	Every   int           // one run in so many is observed task by task, so that memory stays bounded; at least 1
}

// Handler is the work of a benchmark: none, or as much as its settings say. While it is told to observe it notes when
// it began and ended.
type Handler struct {
	settings  Settings
	observing atomic.Bool

	mu      sync.Mutex
	samples []Sample
}

// Sample is one call of the handler, in microseconds since 1970 by the database's clock.
type Sample struct {
	Execution db.ID `json:"e"`
	Place     int   `json:"p"` // of the task in its run
	Begin     int64 `json:"b"`
	End       int64 `json:"t"`
}

// NewHandler makes the handler.
func NewHandler(s Settings) *Handler { return &Handler{settings: s} }

// Name is "bench".
func (h *Handler) Name() string { return handlerName }

// Check takes no settings: they are the process's.
func (h *Handler) Check(with map[string]any) error {
	for key := range with {
		return &tasks.FieldError{Field: key, Msg: "the handler takes nothing"}
	}
	return nil
}

// Run does the work. Outside the measured time it does nothing.
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
		s := Sample{Execution: call.PipelineExecutionID, Place: placeOf(call.TaskName), Begin: begin, End: call.Now().UnixMicro()}
		h.mu.Lock()
		h.samples = append(h.samples, s)
		h.mu.Unlock()
	}
	return out, nil
}

// observed chooses runs by the random end of their ids, so that all processes choose the same.
func (h *Handler) observed(id db.ID) bool {
	return binary.BigEndian.Uint32(id[12:])%uint32(max(h.settings.Every, 1)) == 0
}

// observe begins to do the work and to note it, afresh.
func (h *Handler) observe() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = nil
	h.observing.Store(true)
}

// noted gives what was noted.
func (h *Handler) noted() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.samples
}

const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"

// payload is a JSON text of n bytes that no database can make smaller by much, and that is another one for each task.
func payload(n int, id db.ID) json.RawMessage {
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

// pause waits for d, or for the end of ctx, which is its error.
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
