package app

import (
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/duration"
)

// How times are written for people: with the zone's offset and without spaces, so that every flag for a time accepts
// them.
const (
	preciseMoment = "2006-01-02T15:04:05.000Z07:00"
	clockLayout   = "15:04:05.000"
)

// momentMS is moment with milliseconds.
func momentMS(t time.Time) string { return t.Local().Format(preciseMoment) }

func clock(t dbtype.Time) string { return t.Local().Format(clockLayout) }

// instantLayouts are the formats for times in addition to RFC 3339.
var instantLayouts = []string{
	"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04Z07:00", "2006-01-02T15:04Z07:00",
	"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly,
}

var errNoInstant = errors.New("no time")

// readInstant reads a time, or a duration that is subtracted from now. A time without an offset is in the location.
func readInstant(s string, now time.Time, location *time.Location) (time.Time, error) {
	if d, err := duration.Parse(s); err == nil {
		return now.Add(-d), nil
	}
	s = strings.TrimSpace(s)
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range instantLayouts {
		if t, err := time.ParseInLocation(layout, s, location); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errNoInstant
}

// fraction finds the seconds of a time, and their fraction.
var fraction = regexp.MustCompile(`:\d{2}:\d{2}(\.\d+)?`)

// endOf returns the last time that is written as s, because tables show seconds or milliseconds, and a time from them
// should include what happened within them. Durations, and times without seconds, are exact.
func endOf(s string, t time.Time) time.Time {
	m := fraction.FindStringSubmatch(s)
	if m == nil || len(m[1]) > len(".999999") {
		return t
	}
	unit := time.Second
	for range max(0, len(m[1])-1) {
		unit /= 10
	}
	return t.Add(unit - time.Microsecond)
}

// parseInstant reads the value of a flag for a time or a duration before now. It returns the zero time for "".
func parseInstant(flag, s string, now time.Time) (dbtype.Time, error) {
	if s == "" {
		return dbtype.Time{}, nil
	}
	t, err := readInstant(s, now, time.Local)
	if err != nil {
		return dbtype.Time{}, withHint(usagef("%s: invalid time %q", flag, s),
			"write 2026-11-21T08:00:00Z, 2026-11-21T09:00:00+01:00, 2026-11-21 08:00 (local time), or how long ago: "+
				"90s, 30m, 7d")
	}
	return dbtype.NewTime(t), nil
}
