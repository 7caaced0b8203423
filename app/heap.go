package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// How much the heap grows, relative to its live bytes, before it is collected.
const (
	maxPercent = 400
	minPercent = 50
	maxGarbage = 256 << 20 // bytes, if that is more than minPercent
)

// gcPercent lets a small heap grow to five times its live bytes, which saves a tenth of the processor time, and
// a large one by maxGarbage or by half. It does nothing if GOGC is set. It takes effect once per process, even if
// Main is called again.
var gcPercent = sync.OnceFunc(func() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(maxPercent)
	h := &heap{percent: maxPercent, sample: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	h.watch()
})

// heap adjusts the percentage after each collection.
type heap struct {
	percent int
	sample  []metrics.Sample
}

// watch makes the next collection call adjust, with a finalizer of an unused object.
func (h *heap) watch() {
	runtime.SetFinalizer(&struct{ bytes [64]byte }{}, func(any) {
		h.adjust()
		h.watch()
	})
}

func (h *heap) adjust() {
	metrics.Read(h.sample)
	if h.sample[0].Value.Kind() != metrics.KindUint64 {
		return
	}
	percent := percentFor(h.sample[0].Value.Uint64())
	// Setting it stops the program for a moment, which is not worthwhile for small changes.
	if percent*10 > h.percent*9 && percent*10 < h.percent*11 {
		return
	}
	h.percent = percent
	debug.SetGCPercent(percent)
}

// percentFor returns the percentage for a heap with a number of live bytes.
func percentFor(live uint64) int {
	if live == 0 {
		return maxPercent
	}
	return int(max(minPercent, min(maxPercent, 100*maxGarbage/live)))
}
