package bench

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

func TestSummarize(t *testing.T) {
	t.Parallel()
	if got := summarize(nil); got != nil {
		t.Errorf("of nothing: %+v", got)
	}
	var us []int64
	for i := int64(1000); i > 0; i-- {
		us = append(us, i*1000)
	}
	if diff := cmp.Diff(&Latency{P50: 500, P90: 900, P99: 990, Max: 1000, Count: 1000}, summarize(us)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&Latency{Count: 2, P90: 0.5, P99: 0.5, Max: 0.5}, summarize([]int64{500, -7})); diff != "" {
		t.Error(diff)
	}
}

// TestStepsAndWaits: two runs of a diamond, of which the second was not observed whole, and a task of the first that
// ran twice.
func TestStepsAndWaits(t *testing.T) {
	t.Parallel()
	graph, err := Diamond.Graph(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b := dbtype.NewID(), dbtype.NewID()
	observed := calls([]Sample{
		{a, 0, 100, 110},
		{a, 1, 150, 160},
		{a, 2, 130, 140},
		{a, 3, 300, 310},
		{a, 2, 200, 240}, // again, after the first call was lost
		{b, 3, 500, 510},
	})
	got := steps(observed, graph)
	slices.Sort(got)
	if diff := cmp.Diff([]int64{20, 40, 60}, got); diff != "" {
		t.Errorf("steps: %s", diff)
	}
	ready := map[task]int64{{a, 0}: 90, {b, 3}: 450}
	got = waits(observed, ready)
	slices.Sort(got)
	if diff := cmp.Diff([]int64{10, 50}, got); diff != "" {
		t.Errorf("waits: %s", diff)
	}
}
