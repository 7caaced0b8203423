package inspect_test

import (
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/inspect"
)

func TestSpan(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0ms": -time.Second, "12ms": 12 * time.Millisecond, "1.5s": 1500 * time.Millisecond,
		"59.9s": 59900 * time.Millisecond, "1m05s": 65 * time.Second, "2h05m": 125 * time.Minute,
		"3d4h": 76 * time.Hour,
	} {
		if got := inspect.Span(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
