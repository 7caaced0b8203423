package duration_test

import (
	"testing"
	"time"

	"github.com/sluiceworks/sluice/platform/duration"
)

func TestParse(t *testing.T) {
	good := map[string]time.Duration{
		"90d": 90 * 24 * time.Hour, "1h30m": 90 * time.Minute, "2w": 14 * 24 * time.Hour, "1w2d3h": 219 * time.Hour,
		"1.5s": 1500 * time.Millisecond,
		".5h":  30 * time.Minute, "10ms": 10 * time.Millisecond, "3us": 3 * time.Microsecond,
		"3µs": 3 * time.Microsecond, "7ns": 7, "0": 0, "0s": 0,
		"9223372036s": 9223372036 * time.Second,
	}
	for s, want := range good {
		if got, err := duration.Parse(s); err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "5", "5 m", "m", "-1s", "+1s", "1y", "1h ", "99999999w", "9223372037s", "1e3s",
		"1..5s", "9999999999999999999999ns", "292y", ".",
	} {
		if got, err := duration.Parse(s); err == nil {
			t.Errorf("%q was taken for %v", s, got)
		}
	}
}

func TestFormat(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Hour: "1h", 90 * time.Second: "1m30s", 90 * time.Minute: "1h30m", 10 * time.Second: "10s",
		24*time.Hour + time.Second: "24h0m1s", 0: "0s",
	} {
		if got := duration.Format(d); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}
