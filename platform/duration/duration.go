// Package duration reads and writes durations in the form that pipelines, settings and flags use: that of
// time.ParseDuration with days and weeks, such as 1h30m or 2d.
package duration

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var part = regexp.MustCompile(`^([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w)`)

var units = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "µs": time.Microsecond, "μs": time.Microsecond,
	"ms": time.Millisecond,
	"s":  time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// Hint is the hint for a text that Parse refuses.
const Hint = "write such as 30s, 5m, 1h30m, 2d or 1w"

// Parse parses a duration in the form of time.ParseDuration with the additional units d (24 hours) and w (7 days), such
// as 90d, 1h30m or 2w. It refuses signs, because no duration in a pipeline is negative, and what is longer than 292
// years, the range of time.Duration. The error names the text.
func Parse(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	if strings.HasPrefix(s, "-") {
		return 0, fmt.Errorf("%q is negative", s)
	}
	var sum float64
	var exact time.Duration
	rest := s
	for rest != "" {
		m := part.FindStringSubmatch(rest)
		if m == nil {
			return 0, fmt.Errorf("%q is not a duration", s)
		}
		rest = rest[len(m[0]):]
		n, whole, err := amount(m[1], units[m[2]])
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration", s)
		}
		sum += n
		exact += whole
	}
	if s == "" {
		return 0, fmt.Errorf("%q is not a duration", s)
	}
	if sum >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is longer than 292 years", s)
	}
	return exact, nil
}

// Format returns a duration without trailing zero units, such as 1h or 1m30s.
func Format(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// amount returns number × unit as a float, which cannot overflow, and as an exact duration, which is valid only if
// the float is in range.
func amount(number string, unit time.Duration) (float64, time.Duration, error) {
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("read %q: %w", number, err)
	}
	if i, err := strconv.ParseInt(number, 10, 64); err == nil {
		return f * float64(unit), time.Duration(i) * unit, nil
	}
	return f * float64(unit), time.Duration(math.Round(f * float64(unit))), nil
}
