package schedules_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/schedules"
	"github.com/sluiceworks/sluice/modules/schedules/cron"
)

var propertyZones = []string{
	"UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Santiago", "Australia/Lord_Howe",
	"Pacific/Apia",
	"America/Nuuk", "Africa/Casablanca", "Antarctica/Troll",
}

// drawExpression draws an expression that is due often, in hours in which clocks change.
func drawExpression(t *rapid.T) string {
	minute := rapid.SampledFrom([]string{"*", "*/15", "0", "30", "0,20,40", "0-50/10", "7-9"}).Draw(t, "minute")
	hour := rapid.SampledFrom([]string{"*", "*/2", "0-23", "0", "1", "2", "3", "23", "1-3", "0,2", "23,1"}).
		Draw(t, "hour")
	days := rapid.SampledFrom([]string{"* * *", "* * *", "*/2 * *", "* * SUN,SAT", "1-7 * SUN"}).Draw(t, "days")
	return minute + " " + hour + " " + days
}

// years are those of which drawInstant draws one, with the same probability.
var years = func() (list []int) {
	for year := 1973; year < 2110; year++ {
		list = append(list, year)
	}
	return list
}()

// drawInstant draws a time in a year, at the end of one, or near a clock change of the zone.
func drawInstant(t *rapid.T, zone *time.Location) time.Time {
	at := time.Date(rapid.SampledFrom(years).Draw(t, "year"), time.January, 1, 0, 0, 0, 0, time.UTC)
	switch rapid.SampledFrom([]string{"any time", "clock change", "clock change", "new year"}).Draw(t, "kind") {
	case "any time":
		return at.Add(time.Duration(rapid.IntRange(0, 365*86400).Draw(t, "seconds")) * time.Second)
	case "clock change":
		day := rapid.SampledFrom([]int{0, 200}).Draw(t, "day before it")
		if _, end := at.AddDate(0, 0, day).In(zone).ZoneBounds(); !end.IsZero() {
			at = end.UTC()
		}
	}
	return at.Add(-time.Duration(rapid.IntRange(0, 72*60).Draw(t, "minutes before it")) * time.Minute)
}

// TestEveryMinute compares the due times with a walk over all minutes: those at which the clock shows a matching time
// that it has not shown before, and the ends of gaps with a matching time in them.
func TestEveryMinute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(propertyZones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		spec := schedules.Spec{
			Cron: drawExpression(t), Timezone: zone.String(),
			MissingTime:  rapid.SampledFrom(append(schedules.MissingTimes(), "")).Draw(t, "missing"),
			RepeatedTime: rapid.SampledFrom(append(schedules.RepeatedTimes(), "")).Draw(t, "repeated"),
		}
		schedule, err := spec.Compile()
		if err != nil {
			t.Fatal(err)
		}
		after := drawInstant(t, zone)
		until := after.Add(30 * time.Hour)
		want := walk(t, spec, zone, after, until)
		var have []schedules.Due
		for d := range schedule.After(after) {
			if d.At.After(until) {
				break
			}
			have = append(have, d)
		}
		if !slices.Equal(have, want) {
			t.Fatalf("%+v after %s is due\n%v, want\n%v", spec, after, have, want)
		}
		// What follows a due time is the same, wherever the search began.
		for i, d := range have {
			for next := range schedule.After(d.At) {
				if i+1 < len(have) && next != have[i+1] {
					t.Fatalf("%+v: %v follows %v, and not %v", spec, next, d, have[i+1])
				}
				break
			}
		}
	})
}

// wallOf returns what a clock shows, as a time in UTC.
func wallOf(at time.Time, zone *time.Location) time.Time {
	local := at.In(zone)
	return time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(),
		0, time.UTC)
}

// walk returns the due times in (after, until]. In the zones and years of these tests clocks change at whole minutes,
// by at most a day.
func walk(t *rapid.T, spec schedules.Spec, zone *time.Location, after, until time.Time) (due []schedules.Due) {
	expression, err := cron.Parse(spec.Cron)
	if err != nil {
		t.Fatal(err)
	}
	matches := func(wall time.Time) bool {
		at, ok := expression.Next(wall, wall.Add(time.Minute))
		return ok && at.Equal(wall)
	}
	missing, repeated := spec.MissingTime, spec.RepeatedTime
	if missing == "" && !expression.Interval() {
		missing = schedules.RunAfter
	}
	if repeated == "" && !expression.Interval() {
		repeated = schedules.First
	}
	const margin = 3 * time.Hour         // more than clocks were set back
	shown := map[time.Time][]time.Time{} // the instants at which a wall time is shown
	for at := after.Truncate(time.Minute).Add(-margin); !at.After(until.Add(margin)); at = at.Add(time.Minute) {
		shown[wallOf(at, zone)] = append(shown[wallOf(at, zone)], at)
	}
	for at := after.Truncate(time.Minute); !at.After(until); at = at.Add(time.Minute) {
		if !at.After(after) {
			continue
		}
		wall := wallOf(at, zone)
		one := schedules.Due{At: at}
		if missing == schedules.RunAfter {
			for gone := wallOf(at.Add(-time.Minute), zone).
				Add(time.Minute); gone.Before(wall); gone = gone.Add(time.Minute) {
				if matches(gone) {
					one.Missing = gone
					break
				}
			}
		}
		instants := shown[wall]
		fires := matches(wall) && (repeated == schedules.First && at.Equal(instants[0]) ||
			repeated == schedules.Last && at.Equal(instants[len(instants)-1]) ||
			repeated == schedules.Both || repeated == "")
		if fires || !one.Missing.IsZero() {
			due = append(due, one)
		}
	}
	return due
}

// TestIntervalsDoNotDrift checks that due times are whole intervals from the anchor, all of them, whenever one asks.
func TestIntervalsDoNotDrift(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		every := time.Duration(rapid.Int64Range(1, 40*86400).Draw(t, "seconds")) * time.Second
		spec := schedules.Spec{Every: every}
		anchor := time.Unix(0, 0)
		if rapid.Bool().Draw(t, "starting") {
			anchor = time.Unix(rapid.Int64Range(0, 2e9).Draw(t, "anchor"), 0)
			spec.Starting = anchor.UTC().Format(time.RFC3339)
		}
		schedule, err := spec.Compile()
		if err != nil {
			t.Fatal(err)
		}
		after := time.Unix(rapid.Int64Range(-2e9, 2e9).Draw(t, "after"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		last, n := after, 0
		for d := range schedule.After(after) {
			distance := d.At.Sub(anchor)
			early := spec.Starting != "" && after.Before(anchor) && n == 0
			if distance%every != 0 || !d.At.After(last) || early && distance != 0 || !early && d.At.Sub(last) > every {
				t.Fatalf("%+v after %v: due at %v, after %v", spec, after, d.At, last)
			}
			if last, n = d.At, n+1; n == 5 {
				break
			}
		}
		if n != 5 {
			t.Fatal(fmt.Sprint(n, " due times"))
		}
	})
}
