package app

import (
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/db"
)

// How instants are written for people: with the zone's offset, in one word, so that every flag that takes a time takes them back.
const (
	momentLayout  = time.RFC3339
	preciseMoment = "2006-01-02T15:04:05.000Z07:00"
	clockLayout   = "15:04:05.000"
)

// moment writes an instant for people, in their zone.
func moment(t db.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(momentLayout)
}

// momentMS is moment with milliseconds.
func momentMS(t time.Time) string { return t.Local().Format(preciseMoment) }

func clock(t db.Time) string { return t.Local().Format(clockLayout) }

// instantLayouts are the ways to write an instant, besides RFC 3339. Without an offset it is one of this process's zone.
var instantLayouts = []string{
	"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04Z07:00", "2006-01-02T15:04Z07:00",
	"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly,
}

var errNoInstant = errors.New("no time")

// readInstant reads an instant, or a duration as how long before now it was.
func readInstant(s string, now time.Time) (time.Time, error) {
	if d, err := definition.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	s = strings.TrimSpace(s)
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range instantLayouts {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errNoInstant
}

// fraction finds the seconds of an instant, and its part of a second.
var fraction = regexp.MustCompile(`:\d{2}:\d{2}(\.\d+)?`)

// endOf is the last instant that is written as s: tables show seconds or milliseconds, and what happened within them has happened. A
// duration, and a time without seconds, mean just that.
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

// parseInstant reads the value of a flag that takes an instant, or how long ago it was; zero for nothing.
func parseInstant(flag, s string, now time.Time) (db.Time, error) {
	if s == "" {
		return db.Time{}, nil
	}
	t, err := readInstant(s, now)
	if err != nil {
		return db.Time{}, withHint(usagef("%s: %q is no time", flag, s),
			"write 2026-11-21T08:00:00Z, 2026-11-21T09:00:00+01:00, 2026-11-21 08:00 (local time), or how long ago: 90s, 30m, 7d")
	}
	return db.At(t), nil
}
