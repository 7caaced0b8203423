// Package schedules computes when something is due: at the times of a cron expression, after equal intervals, or at
// listed times, in a time zone and across its clock changes. It is pure: it reads no clock and no database.
package schedules

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/schedules/cron"
)

// Spec says when something is due. Exactly one of Cron, Every and At is set.
type Spec struct {
	Cron     string        // a cron expression or nickname, see cron.Parse
	Every    time.Duration // the interval of equal lengths; whole seconds
	At       []string      // times in RFC 3339, or without an offset in the time zone, such as 2026-11-21 09:00
	Starting string        // with Every: the first due time, as in At; empty: the interval is counted from 1970
	Timezone string        // an IANA name; empty: UTC

	// What happens at clock changes. If they are empty, a cron expression of intervals (cron.Expression.Interval) skips
	// missing times and fires at both repeated ones, and all others run after the gap, and at the first repeated time.
	MissingTime  string // one of MissingTimes
	RepeatedTime string // one of RepeatedTimes
}

// What a schedule does with a wall time that a clock change leaves out.
const (
	RunAfter = "run_after" // it fires once, when the clock has changed
	Skip     = "skip"
)

// What a schedule does with a wall time that a clock change repeats.
const (
	First = "first" // it fires when the time occurs first
	Last  = "last"
	Both  = "both"
)

// MissingTimes are the values of Spec.MissingTime.
func MissingTimes() []string { return []string{RunAfter, Skip} }

// RepeatedTimes are the values of Spec.RepeatedTime.
func RepeatedTimes() []string { return []string{First, Last, Both} }

// Problem is a mistake in one field of a Spec.
type Problem struct {
	Field   string // its name in a pipeline's file, such as missing_time; empty if it is about several
	Message string // what is wrong
	Hint    string // how to correct it; may be empty
}

// Problems is the error of Compile. It contains every mistake.
type Problems []Problem

func (p Problems) Error() string {
	texts := make([]string, len(p))
	for i, problem := range p {
		texts[i] = problem.Message
		if problem.Field != "" {
			texts[i] = problem.Field + ": " + problem.Message
		}
	}
	return strings.Join(texts, "; ")
}

// Schedule is a valid Spec.
type Schedule struct {
	location *time.Location
	due      func(after time.Time) iter.Seq[Due]
}

// Due is a time at which a schedule fires.
type Due struct {
	At time.Time // in UTC

	// Missing is the wall time that At stands for if a clock change left that out, stored as package cron describes. It
	// is the first one if several are left out. It is zero for every other due time.
	Missing time.Time
}

// Location returns the schedule's time zone.
func (s *Schedule) Location() *time.Location { return s.location }

// After returns the due times after t, in strictly ascending order. It computes them when they are asked for. There is
// no end in general; it ends at the year 10000, at the last of listed times, and if a cron expression is not due within
// 40 years of the time before.
func (s *Schedule) After(t time.Time) iter.Seq[Due] { return s.due(t) }

// Compile checks a Spec. A cron expression or a listed time that never occurs is a mistake, too.
func (s Spec) Compile() (*Schedule, error) {
	c := compiler{spec: s, location: time.UTC}
	c.zone()
	c.option("missing_time", s.MissingTime, MissingTimes())
	c.option("repeated_time", s.RepeatedTime, RepeatedTimes())
	var kinds []string
	if s.Cron != "" {
		kinds = append(kinds, "cron")
	}
	if s.Every != 0 {
		kinds = append(kinds, "every")
	}
	if len(s.At) > 0 {
		kinds = append(kinds, "at")
	}
	switch {
	case len(kinds) == 0:
		c.problem("", "a schedule needs a time", "say one of cron, every and at")
	case len(kinds) > 1:
		c.problem("", "a schedule can't have both "+strings.Join(kinds, " and "), "write two schedules")
	case len(c.problems) > 0: // the times would be wrong
	case s.Cron != "":
		c.cron()
	case s.Every != 0:
		c.every()
	default:
		c.times()
	}
	if s.Starting != "" && s.Every == 0 {
		c.problem("starting", "it has no meaning without every", "only an interval starts at a time")
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return &Schedule{c.location, c.due}, nil
}

// compiler turns a Spec into a Schedule.
type compiler struct {
	spec     Spec
	location *time.Location
	due      func(after time.Time) iter.Seq[Due]
	problems Problems
}

func (c *compiler) problem(field, message, hint string) {
	c.problems = append(c.problems, Problem{field, message, hint})
}

func (c *compiler) zone() {
	if c.spec.Timezone == "" {
		return
	}
	location, err := LoadLocation(c.spec.Timezone)
	if err != nil {
		c.problem("timezone", err.Error(), "write a name of the IANA database, such as Europe/Berlin or UTC")
		return
	}
	c.location = location
}

// LoadLocation returns a time zone by its IANA name. Unlike time.LoadLocation it refuses names for the machine's zone,
// which is another one on another machine.
func LoadLocation(name string) (*time.Location, error) {
	location, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" || name == "localtime" {
		return nil, fmt.Errorf("unknown time zone %q", name)
	}
	return location, nil
}

func (c *compiler) option(field, value string, allowed []string) {
	switch {
	case value == "":
	case !slices.Contains(allowed, value):
		c.problem(field, fmt.Sprintf("unknown value %q", value), "expected one of "+strings.Join(allowed, ", "))
	case c.spec.Every != 0:
		c.problem(field, "it has no meaning with every", "equal intervals do not depend on the clock's changes")
	}
}

// clock returns the clock of the zone that shows the wall times, with the options of the Spec or else with defaults.
func (c *compiler) clock(times wallTimes, missing, repeated string) clock {
	if c.spec.MissingTime != "" {
		missing = c.spec.MissingTime
	}
	if c.spec.RepeatedTime != "" {
		repeated = c.spec.RepeatedTime
	}
	return clock{c.location, times, missing, repeated}
}

func (c *compiler) cron() {
	expression, err := cron.Parse(c.spec.Cron)
	var wrong *cron.Error
	if errors.As(err, &wrong) {
		c.problem("cron", wrong.Message, wrong.Hint)
		return
	}
	missing, repeated := RunAfter, First
	if expression.Interval() {
		missing, repeated = Skip, Both
	}
	clock := c.clock(expression, missing, repeated)
	c.due = func(after time.Time) iter.Seq[Due] { return clock.due(after, maxPause) }
}
