// Package cron reads cron expressions and finds the wall times that they match. It knows no time zone: package
// schedules turns wall times into instants.
//
// A wall time is what a clock on the wall shows. It is stored as a time.Time in UTC with the same year, month, day,
// hour, minute and second.
package cron

import (
	"math/bits"
	"time"
)

// Expression is a cron expression as the Open Cron Pattern Specification 1.0 defines it: five fields, for minute, hour,
// day of month, month and day of week. If both day fields are restricted, a day matches if one of them does.
type Expression struct {
	minutes, hours, days, months, weekdays uint64 // bit n is set if the value n matches; Sunday is bit 0
	anyDay, anyWeekday                     bool   // the field is *
	interval                               bool
}

// Interval reports whether the expression says how often something runs, and not at which times of the day: its hour
// field is `*`, or its minute field has a `*` or a step.
func (e *Expression) Interval() bool { return e.interval }

// Next returns the first matching wall time in [from, before), and whether there is one. Its work grows with the number
// of months and of matching days in between, not with that of minutes.
func (e *Expression) Next(from, before time.Time) (time.Time, bool) {
	if start := from.Truncate(time.Minute); start.Before(from) {
		from = start.Add(time.Minute)
	}
	day := time.Date(from.Year(), from.Month(), from.Day(), 0, 0, 0, 0, time.UTC)
	for first := from.Hour()*60 + from.Minute(); day.Before(before); first = 0 {
		if !has(e.months, int(day.Month())) {
			day = time.Date(day.Year(), day.Month()+1, 1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if e.onDay(day) {
			if minute, ok := e.minuteOfDay(first); ok {
				found := day.Add(time.Duration(minute) * time.Minute)
				return found, found.Before(before)
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return time.Time{}, false
}

// onDay reports whether the two day fields match a day.
func (e *Expression) onDay(day time.Time) bool {
	ofMonth, ofWeek := has(e.days, day.Day()), has(e.weekdays, int(day.Weekday()))
	if e.anyDay || e.anyWeekday {
		return ofMonth && ofWeek
	}
	return ofMonth || ofWeek
}

// minuteOfDay returns the first matching minute of a day, counted from midnight, that is not before first.
func (e *Expression) minuteOfDay(first int) (int, bool) {
	minute := first % 60
	for hour := first / 60; hour < 24; hour++ {
		if rest := e.minutes >> minute; has(e.hours, hour) && rest != 0 {
			return hour*60 + minute + bits.TrailingZeros64(rest), true
		}
		minute = 0
	}
	return 0, false
}

// possible reports whether there is a day that the expression matches. The day of week is always possible, and with it
// every expression that restricts it.
func (e *Expression) possible() bool {
	if !e.anyWeekday {
		return true
	}
	for month := time.January; month <= time.December; month++ {
		// 2024 is a leap year; day 0 of a month is the last one of the month before.
		last := time.Date(2024, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
		if has(e.months, int(month)) && e.days&(1<<(last+1)-1) != 0 {
			return true
		}
	}
	return false
}

func has(set uint64, value int) bool { return set>>value&1 != 0 }
