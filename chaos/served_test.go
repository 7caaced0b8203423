//go:build chaos

package chaos

import (
	"testing"
	"time"
)

// TestServedClock checks that only time with a live worker counts.
func TestServedClock(t *testing.T) {
	t.Parallel()
	start := time.Unix(1e9, 0)
	for name, c := range map[string]struct {
		live string        // a letter for each second: s served, - not
		want time.Duration // since when 3 s have been served, after the start; negative: not so much has been
	}{
		"nothing":             {"", -1},
		"too short":           {"sss", -1},
		"just enough":         {"ssss", 0},
		"longer":              {"ssssss", 2 * time.Second},
		"a gap":               {"sss---s", 0},
		"a gap at the end":    {"ssss---", 0},
		"a gap at the start":  {"---sss", 2 * time.Second},
		"a gap in the middle": {"ssss--ss", 2 * time.Second},
		"never":               {"--------", -1},
	} {
		var clock servedClock
		for i, live := range c.live {
			clock.add(start.Add(time.Duration(i)*time.Second), live == 's')
			_ = clock.since(3 * time.Second) // it may forget samples
		}
		got := clock.since(3 * time.Second)
		want := start.Add(c.want)
		if c.want < 0 {
			want = time.Time{}
		}
		if !got.Equal(want) {
			t.Errorf("%s: since %v, want %v", name, got, want)
		}
	}
}
