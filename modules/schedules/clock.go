package schedules

import (
	"iter"
	"time"
)

const (
	// maxPause bounds the search for the next wall time. Without it, 29 February is due after at most 8 years; a time
	// that is skipped whenever a clock change leaves it out may take some more.
	maxPause = 40 * 365 * 24 * time.Hour
	// maxRepeat is longer than any clock was ever set back: a day, where the date line moved.
	maxRepeat = 48 * time.Hour
)

// lastYear is the end of the times that a due time may have. RFC 3339 has no others.
var lastYear = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)

// wallTimes is a set of wall times, stored as package cron describes.
type wallTimes interface {
	// Next returns the first one in [from, before), and whether there is one.
	Next(from, before time.Time) (time.Time, bool)
}

// clock finds the instants at which the clocks of a zone show certain wall times.
type clock struct {
	location          *time.Location
	times             wallTimes
	missing, repeated string // see MissingTimes and RepeatedTimes
}

// period is a time without clock changes.
type period struct {
	start, end time.Time     // end is not part of it; zero: it has no start, or no end
	offset     time.Duration // of the wall time from UTC
}

// period returns the period that contains an instant.
func (c clock) period(at time.Time) period {
	local := at.In(c.location)
	_, offset := local.Zone()
	p := period{offset: time.Duration(offset) * time.Second}
	start, end := local.ZoneBounds()
	if !start.IsZero() {
		p.start = start.UTC()
	}
	if !end.IsZero() {
		p.end = end.UTC()
	}
	// Beyond the table of a zone, Go takes each year for 365 days: on 31 December of a leap year the end is not after
	// at. The offset is right, and Go's next period begins with the year.
	if !p.end.IsZero() && !p.end.After(at) {
		p.end = time.Date(at.UTC().Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	return p
}

// before returns the period before p, which must have a start.
func (c clock) before(p period) period { return c.period(p.start.Add(-time.Nanosecond)) }

func (p period) contains(at time.Time) bool {
	return !at.Before(p.start) && (p.end.IsZero() || at.Before(p.end))
}

// wall returns the wall time of an instant.
func (p period) wall(at time.Time) time.Time { return at.UTC().Add(p.offset) }

// due returns the due times after an instant, until none follows the one before within pause.
//
// Within a period the wall time advances as the instant does, so that every wall time in it is one instant. What is
// special about a clock change happens at the start of a period: wall times between the end of the period before and
// the start of this one are missing, or those after this start were there before.
func (c clock) due(after time.Time, pause time.Duration) iter.Seq[Due] {
	return func(yield func(Due) bool) {
		last := after.UTC()
		limit := func() time.Time { return earlier(last.Add(pause), lastYear) }
		for p := c.period(last); ; p = c.period(p.end) {
			if p.start.After(last) {
				if missing, ok := c.gap(p); ok {
					last = p.start
					if !yield(Due{At: last, Missing: missing}) {
						return
					}
				}
			}
			for from := p.wall(later(p.start, last)); ; {
				end := limit()
				if !p.end.IsZero() {
					end = earlier(end, p.end)
				}
				wall, ok := c.times.Next(from, p.wall(end))
				if !ok {
					break
				}
				from = wall.Add(time.Nanosecond)
				at := wall.Add(-p.offset)
				if !at.After(last) || !c.fires(wall, p) {
					continue
				}
				last = at
				if !yield(Due{At: at}) {
					return
				}
			}
			if p.end.IsZero() || !p.end.Before(limit()) {
				return
			}
		}
	}
}

// gap returns the first wall time that the clock change at the start of a period leaves out, if the schedule fires
// after the gap.
func (c clock) gap(p period) (time.Time, bool) {
	if c.missing != RunAfter {
		return time.Time{}, false
	}
	return c.times.Next(c.before(p).wall(p.start), p.wall(p.start))
}

// fires reports whether the schedule fires at a wall time in a period, which may be one of the times that a clock
// change repeats.
func (c clock) fires(wall time.Time, p period) bool {
	at := wall.Add(-p.offset)
	switch c.repeated {
	case First:
		for !p.start.IsZero() && at.Sub(p.start) < maxRepeat {
			p = c.before(p)
			if first := wall.Add(-p.offset); first.Before(at) && p.contains(first) {
				return false
			}
		}
	case Last:
		for !p.end.IsZero() && p.end.Sub(at) < maxRepeat {
			p = c.period(p.end)
			if last := wall.Add(-p.offset); last.After(at) && p.contains(last) {
				return false
			}
		}
	}
	return true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
