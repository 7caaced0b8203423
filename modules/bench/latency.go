package bench

import (
	"math"
	"slices"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Latency is a distribution of durations, in milliseconds. P90 is the duration that 90 percent of the cases did not
// exceed.
type Latency struct {
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
	Count int     `json:"count"` // number of observed cases
}

// summarize returns the distribution of durations in microseconds, or nil if there are none. A negative duration
// results from clock readings of two processes and counts as zero.
func summarize(us []int64) *Latency {
	if len(us) == 0 {
		return nil
	}
	slices.Sort(us)
	at := func(q float64) float64 {
		i := int(math.Ceil(q*float64(len(us)))) - 1
		return float64(max(us[max(i, 0)], 0)) / 1000
	}
	return &Latency{P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: at(1), Count: len(us)}
}

// task identifies one task of one run.
type task struct {
	execution dbtype.ID
	place     int
}

// calls returns the samples by task. If a task was recovered and ran again, the sample lasts from the beginning of its
// first call to the end of its last call.
func calls(samples []Sample) map[task]Sample {
	out := make(map[task]Sample, len(samples))
	for _, s := range samples {
		key := task{s.Execution, s.Index}
		if first, again := out[key]; again {
			s.Begin, s.End = min(s.Begin, first.Begin), max(s.End, first.End)
		}
		out[key] = s
	}
	return out
}

// steps returns, for each task with dependencies, the time in microseconds from the end of its last dependency's
// handler to the beginning of its own handler.
func steps(calls map[task]Sample, graph [][]int) []int64 {
	var out []int64
	for key, s := range calls {
		if len(graph[key.place]) == 0 {
			continue
		}
		last, known := int64(math.MinInt64), true
		for _, need := range graph[key.place] {
			before, ok := calls[task{key.execution, need}]
			last, known = max(last, before.End), known && ok
		}
		if known {
			out = append(out, s.Begin-last)
		}
	}
	return out
}

// waits returns, for each task in ready, the time in microseconds from when it became ready to the beginning of its
// handler.
func waits(calls map[task]Sample, ready map[task]int64) []int64 {
	var out []int64
	for key, s := range calls {
		if at, ok := ready[key]; ok {
			out = append(out, s.Begin-at)
		}
	}
	return out
}
