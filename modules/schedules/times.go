package schedules

import (
	"fmt"
	"iter"
	"slices"
	"time"
)

// The forms of a time: RFC 3339, and without an offset in the schedule's zone.
var (
	instantForms = []string{
		time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05Z07:00",
		"2006-01-02 15:04Z07:00",
	}
	wallForms = []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04"}
)

const hintTime = "write 2026-11-21T08:00:00Z, 2026-11-21T09:00:00+01:00, or 2026-11-21 09:00 in the schedule's zone"

// single is the set of one wall time.
type single time.Time

func (s single) Next(from, before time.Time) (time.Time, bool) {
	wall := time.Time(s)
	return wall, !wall.Before(from) && wall.Before(before)
}

// instants reads a time. Without an offset it is a wall time, and none or two instants if the clock changes then.
func (c *compiler) instants(field, text string) []Due {
	for _, form := range instantForms {
		if at, err := time.Parse(form, text); err == nil {
			return []Due{{At: at.UTC()}}
		}
	}
	for _, form := range wallForms {
		wall, err := time.Parse(form, text)
		if err != nil {
			continue
		}
		clock := c.clock(single(wall), RunAfter, First)
		// Its instants are less than a day and a half from wall in UTC.
		list := slices.Collect(clock.due(wall.Add(-maxRepeat), 2*maxRepeat))
		if len(list) == 0 {
			c.problem(field, fmt.Sprintf("%q never occurs: a clock change in %s leaves it out", text, c.location),
				"missing_time: run_after fires when the clock has changed")
		}
		return list
	}
	c.problem(field, fmt.Sprintf("invalid time %q", text), hintTime)
	return nil
}

// times compiles the listed times.
func (c *compiler) times() {
	var list []Due
	for _, text := range c.spec.At {
		list = append(list, c.instants("at", text)...)
	}
	slices.SortStableFunc(list, func(a, b Due) int { return a.At.Compare(b.At) })
	list = slices.CompactFunc(list, func(a, b Due) bool { return a.At.Equal(b.At) })
	c.due = func(after time.Time) iter.Seq[Due] {
		return func(yield func(Due) bool) {
			for _, d := range list {
				if d.At.After(after) && !yield(d) {
					return
				}
			}
		}
	}
}

// every compiles an interval. Its due times are whole multiples of it from an anchor on, so that they depend neither on
// when a process started nor on when the last one was.
func (c *compiler) every() {
	step := c.spec.Every
	if step < time.Second || step%time.Second != 0 {
		c.problem("every", fmt.Sprintf("%s is not an interval of whole seconds", step), "the shortest interval is 1s")
		return
	}
	anchor, least := int64(0), int64(-1<<62)
	if c.spec.Starting != "" {
		list := c.instants("starting", c.spec.Starting)
		if len(list) == 0 {
			return
		}
		anchor, least = list[0].At.UnixMicro(), 0
	}
	c.due = func(after time.Time) iter.Seq[Due] {
		return func(yield func(Due) bool) {
			length := step.Microseconds()
			for n := max(floor(after.UnixMicro()-anchor, length)+1, least); ; n++ {
				at := time.UnixMicro(anchor + n*length).UTC()
				if !at.Before(lastYear) || !yield(Due{At: at}) {
					return
				}
			}
		}
	}
}

// floor returns the largest whole number that is not above a/b, for b > 0.
func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
