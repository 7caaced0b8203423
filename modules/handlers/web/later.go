package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter is the longest wait that RetryAfter returns. A server that asks for more is asked again after this
// long.
const MaxRetryAfter = time.Hour

// RetryAfter returns the wait that the Retry-After header of a response with status 429 or 503 asks for, in seconds
// or as a date, at most MaxRetryAfter. It returns 0 for other statuses and without a valid header. A date is relative
// to the response's Date, because the two clocks may differ, or to now if the response has no Date.
func RetryAfter(resp *http.Response, now time.Time) time.Duration {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	value := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter // out of range or above the maximum
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		now = sent
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}
