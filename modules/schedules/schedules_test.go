package schedules_test

import (
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/schedules"
)

func compile(t *testing.T, spec schedules.Spec) *schedules.Schedule {
	t.Helper()
	s, err := spec.Compile()
	if err != nil {
		t.Fatalf("%+v: %v", spec, err)
	}
	return s
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// first returns up to n due times, as local times. One that stands for a missing time has that in parentheses.
func first(s *schedules.Schedule, due iter.Seq[schedules.Due], n int) (list []string) {
	for d := range due {
		text := d.At.In(s.Location()).Format("01-02T15:04Z07:00")
		if !d.Missing.IsZero() {
			text += d.Missing.Format("(01-02T15:04)")
		}
		if list = append(list, text); len(list) == n {
			break
		}
	}
	return list
}

// TestClockChanges checks the due times around clock changes.
func TestClockChanges(t *testing.T) {
	t.Parallel()
	const skip, last, both = schedules.Skip, schedules.Last, schedules.Both
	for _, c := range []struct {
		zone, after, cron, missing, repeated string
		want                                 string
	}{
		// Berlin, 2024: 31 March 02:00 to 03:00, 27 October 03:00 to 02:00.
		{
			"Europe/Berlin", "2024-03-30T12:00:00Z", "30 2 * * *", "", "",
			"03-31T03:00+02:00(03-31T02:30) 04-01T02:30+02:00",
		},
		{"Europe/Berlin", "2024-03-30T12:00:00Z", "30 2 * * *", skip, "", "04-01T02:30+02:00 04-02T02:30+02:00"},
		{"Europe/Berlin", "2024-03-31T01:00:00Z", "30 2 * * *", "", "", "04-01T02:30+02:00"}, // the moved one was due
		{"Europe/Berlin", "2024-03-31T00:59:59Z", "30 2 * * *", "", "", "03-31T03:00+02:00(03-31T02:30)"},
		{
			"Europe/Berlin", "2024-03-30T12:00:00Z", "0,30 2,3 * * *", "", "",
			"03-31T03:00+02:00(03-31T02:00) 03-31T03:30+02:00 04-01T02:00+02:00",
		},
		{
			"Europe/Berlin", "2024-03-30T12:00:00Z", "0 2 * * SUN", "", "",
			"03-31T03:00+02:00(03-31T02:00) 04-07T02:00+02:00",
		},
		{
			"Europe/Berlin", "2024-03-31T00:00:00Z", "*/30 * * * *", "", "",
			"03-31T01:30+01:00 03-31T03:00+02:00 03-31T03:30+02:00",
		},
		{
			"Europe/Berlin", "2024-03-30T23:30:00Z", "30 * * * *", "", "",
			"03-31T01:30+01:00 03-31T03:30+02:00 03-31T04:30+02:00",
		},
		{
			"Europe/Berlin", "2024-03-30T23:30:00Z", "30 * * * *", schedules.RunAfter, "",
			"03-31T01:30+01:00 03-31T03:00+02:00(03-31T02:30) 03-31T03:30+02:00",
		},
		{
			"Europe/Berlin", "2024-03-30T22:00:00Z", "0 */2 * * *", "", "",
			"03-31T00:00+01:00 03-31T03:00+02:00(03-31T02:00) 03-31T04:00+02:00",
		},
		{"Europe/Berlin", "2024-03-30T22:00:00Z", "*/20 2 * * *", "", "", "04-01T02:00+02:00 04-01T02:20+02:00"},
		{
			"Europe/Berlin", "2024-03-30T07:30:00Z", "0 7,9 * * *", "", "",
			"03-30T09:00+01:00 03-31T07:00+02:00 03-31T09:00+02:00 04-01T07:00+02:00",
		},
		{
			"Europe/Berlin", "2024-10-26T13:30:00Z", "0 9-16 * * *", "", "",
			"10-26T16:00+02:00 10-27T09:00+01:00 10-27T10:00+01:00",
		},
		{"Europe/Berlin", "2024-10-26T12:00:00Z", "30 2 * * *", "", "", "10-27T02:30+02:00 10-28T02:30+01:00"},
		{"Europe/Berlin", "2024-10-26T12:00:00Z", "30 2 * * *", "", last, "10-27T02:30+01:00 10-28T02:30+01:00"},
		{
			"Europe/Berlin", "2024-10-26T12:00:00Z", "30 2 * * *", "", both,
			"10-27T02:30+02:00 10-27T02:30+01:00 10-28T02:30+01:00",
		},
		{"Europe/Berlin", "2024-10-27T00:30:00Z", "30 2 * * *", "", "", "10-28T02:30+01:00"},
		{"Europe/Berlin", "2024-10-27T01:45:00Z", "30 2 * * *", "", last, "10-28T02:30+01:00"},
		{
			"Europe/Berlin", "2024-10-26T23:45:00Z", "*/30 * * * *", "", "",
			"10-27T02:00+02:00 10-27T02:30+02:00 10-27T02:00+01:00 10-27T02:30+01:00 10-27T03:00+01:00",
		},
		{
			"Europe/Berlin", "2024-10-26T23:45:00Z", "*/30 1-2 * * *", "", "",
			"10-27T02:00+02:00 10-27T02:30+02:00 10-27T02:00+01:00 10-27T02:30+01:00 10-28T01:00+01:00",
		},
		{
			"Europe/Berlin", "2024-10-26T23:45:00Z", "*/30 1-2 * * *", "", schedules.First,
			"10-27T02:00+02:00 10-27T02:30+02:00 10-28T01:00+01:00",
		},
		{
			"Europe/Berlin", "2024-10-26T21:00:00Z", "0 */2 * * *", "", "",
			"10-27T00:00+02:00 10-27T02:00+02:00 10-27T04:00+01:00",
		},
		// New York, 2024: 10 March 02:00 to 03:00, 3 November 02:00 to 01:00.
		{
			"America/New_York", "2024-03-09T12:00:00Z", "0 2 * * *", "", "",
			"03-10T03:00-04:00(03-10T02:00) 03-11T02:00-04:00",
		},
		{"America/New_York", "2024-11-02T12:00:00Z", "59 1 * * *", "", "", "11-03T01:59-04:00 11-04T01:59-05:00"},
		{
			"America/New_York", "2024-11-02T12:00:00Z", "0 2 * * *", "", "",
			"11-03T02:00-05:00 11-04T02:00-05:00",
		}, // not repeated
		// Santiago, 2024: 8 September 00:00 to 01:00, 7 April 00:00 to 6 April 23:00. Midnight is missing.
		{
			"America/Santiago", "2024-09-07T12:00:00Z", "@daily", "", "",
			"09-08T01:00-03:00(09-08T00:00) 09-09T00:00-03:00",
		},
		{"America/Santiago", "2024-09-07T12:00:00Z", "@daily", skip, "", "09-09T00:00-03:00"},
		{"America/Santiago", "2024-09-07T12:00:00Z", "0 0 8 9 *", "", "", "09-08T01:00-03:00(09-08T00:00)"},
		{
			"America/Santiago", "2024-09-08T02:30:00Z", "@hourly", "", "",
			"09-07T23:00-04:00 09-08T01:00-03:00 09-08T02:00-03:00",
		},
		{"America/Santiago", "2024-04-06T12:00:00Z", "30 23 * * *", "", "", "04-06T23:30-03:00 04-07T23:30-04:00"},
		{"America/Santiago", "2024-04-06T12:00:00Z", "0 0 * * *", "", last, "04-07T00:00-04:00 04-08T00:00-04:00"},
		// Lord Howe, 2024: half an hour. 6 October 02:00 to 02:30, 7 April 02:00 to 01:30.
		{
			"Australia/Lord_Howe", "2024-10-05T12:00:00Z", "15 2 * * *", "", "",
			"10-06T02:30+11:00(10-06T02:15) 10-07T02:15+11:00",
		},
		{"Australia/Lord_Howe", "2024-10-05T12:00:00Z", "30 2 * * *", "", "", "10-06T02:30+11:00 10-07T02:30+11:00"},
		{"Australia/Lord_Howe", "2024-04-06T12:00:00Z", "45 1 * * *", "", "", "04-07T01:45+11:00 04-08T01:45+10:30"},
		{
			"Australia/Lord_Howe", "2024-04-06T12:00:00Z", "15 1 * * *", "", both,
			"04-07T01:15+11:00 04-08T01:15+10:30",
		}, // not repeated
		{
			"Australia/Lord_Howe", "2024-04-06T14:15:00Z", "*/15 * * * *", "", "",
			"04-07T01:30+11:00 04-07T01:45+11:00 04-07T01:30+10:30 04-07T01:45+10:30 04-07T02:00+10:30",
		},
		// Dublin, 2024: winter time counts as the negative one. 31 March 01:00 to 02:00, 27 October 02:00 to 01:00.
		{
			"Europe/Dublin", "2024-03-30T12:00:00Z", "30 1 * * *", "", "",
			"03-31T02:00+01:00(03-31T01:30) 04-01T01:30+01:00",
		},
		{"Europe/Dublin", "2024-10-26T12:00:00Z", "30 1 * * *", "", "", "10-27T01:30+01:00 10-28T01:30Z"},
		{"Europe/Dublin", "2024-10-26T12:00:00Z", "30 1 * * *", "", last, "10-27T01:30Z 10-28T01:30Z"},
		// Apia, 2011: there was no 30 December, a Friday.
		{
			"Pacific/Apia", "2011-12-29T10:00:00Z", "0 9 * * *", "", "",
			"12-29T09:00-10:00 12-31T00:00+14:00(12-30T09:00) 12-31T09:00+14:00",
		},
		{"Pacific/Apia", "2011-12-29T10:00:00Z", "0 9 * * *", skip, "", "12-29T09:00-10:00 12-31T09:00+14:00"},
		{
			"Pacific/Apia", "2011-12-29T10:00:00Z", "0 9 * * FRI", "", "",
			"12-31T00:00+14:00(12-30T09:00) 01-06T09:00+14:00",
		},
		{
			"Pacific/Apia", "2011-12-29T10:00:00Z", "0 9,17 30 12 *", "", "",
			"12-31T00:00+14:00(12-30T09:00) 12-30T09:00+14:00",
		},
		{
			"Pacific/Apia", "2011-12-30T08:30:00Z", "@hourly", "", "",
			"12-29T23:00-10:00 12-31T00:00+14:00 12-31T01:00+14:00",
		},
		// Nuuk, 2024: 30 March 23:00 to 31 March 00:00. The gap ends on another day.
		{
			"America/Nuuk", "2024-03-30T12:00:00Z", "30 23 * * *", "", "",
			"03-31T00:00-01:00(03-30T23:30) 03-31T23:30-01:00",
		},
		// Troll, 2024: two hours. 31 March 01:00 to 03:00.
		{
			"Antarctica/Troll", "2024-03-30T12:00:00Z", "15 1,2 * * *", "", "",
			"03-31T03:00+02:00(03-31T01:15) 04-01T01:15+02:00",
		},
		// Kwajalein, 1969: 23 hours of 30 September came twice.
		{"Pacific/Kwajalein", "1969-09-29T22:00:00Z", "0 12 * * *", "", "", "09-30T12:00+11:00 10-01T12:00-12:00"},
		{"Pacific/Kwajalein", "1969-09-29T22:00:00Z", "0 12 * * *", "", last, "09-30T12:00-12:00 10-01T12:00-12:00"},
		// Far ahead: the last days of a leap year.
		{
			"Europe/Berlin", "2040-12-28T12:00:00Z", "0 9 * * *", "", last,
			"12-29T09:00+01:00 12-30T09:00+01:00 12-31T09:00+01:00",
		},
		{
			"Europe/Berlin", "2040-12-30T12:00:00Z", "0 0 * * *", "", "",
			"12-31T00:00+01:00 01-01T00:00+01:00 01-02T00:00+01:00",
		},
		{"America/Santiago", "2052-12-31T12:00:00Z", "0 0 1 9-11 *", "", "", "09-01T00:00-04:00 10-01T00:00-03:00"},
		// Zones without clock changes.
		{"", "2024-03-31T00:00:00Z", "30 2 * * *", "", "", "03-31T02:30Z 04-01T02:30Z"},
		{"Asia/Kathmandu", "2024-03-31T00:00:00Z", "30 2 * * *", "", "", "04-01T02:30+05:45"},
	} {
		s := compile(t, schedules.Spec{
			Cron: c.cron, Timezone: c.zone, MissingTime: c.missing,
			RepeatedTime: c.repeated,
		})
		have := strings.Join(first(s, s.After(instant(t, c.after)), strings.Count(c.want, " ")+1), " ")
		if have != c.want {
			t.Errorf("%q in %s after %s (%s %s)\nis due %s\n  want %s", c.cron, c.zone, c.after, c.missing, c.repeated,
				have,
				c.want)
		}
	}
}

// TestListedTimes checks times of `at`: exact ones, and wall times that are missing or repeated.
func TestListedTimes(t *testing.T) {
	t.Parallel()
	const berlin = "Europe/Berlin"
	for name, c := range map[string]struct {
		spec schedules.Spec
		want string
	}{
		"sorted, once": {
			schedules.Spec{
				At:       []string{"2024-05-01 09:00", "2024-04-01T09:00:00Z", "2024-05-01T07:00Z"},
				Timezone: berlin,
			},
			"04-01T11:00+02:00 05-01T09:00+02:00",
		},
		"missing": {
			schedules.Spec{At: []string{"2024-03-31 02:30"}, Timezone: berlin},
			"03-31T03:00+02:00(03-31T02:30)",
		},
		"repeated": {schedules.Spec{At: []string{"2024-10-27T02:30"}, Timezone: berlin}, "10-27T02:30+02:00"},
		"the last": {
			schedules.Spec{At: []string{"2024-10-27T02:30:00"}, Timezone: berlin, RepeatedTime: "last"},
			"10-27T02:30+01:00",
		},
		"both": {
			schedules.Spec{At: []string{"2024-10-27 02:30:00"}, Timezone: berlin, RepeatedTime: "both"},
			"10-27T02:30+02:00 10-27T02:30+01:00",
		},
		"an instant": {
			schedules.Spec{At: []string{"2024-10-27 02:30+01:00"}, Timezone: berlin, RepeatedTime: "both"},
			"10-27T02:30+01:00",
		},
		"of one skip": {
			schedules.Spec{At: []string{"2024-04-30 02:30"}, Timezone: berlin, MissingTime: "skip"},
			"04-30T02:30+02:00",
		},
		"a day away": {
			schedules.Spec{At: []string{"2011-12-30 12:00"}, Timezone: "Pacific/Apia"},
			"12-31T00:00+14:00(12-30T12:00)",
		},
	} {
		s := compile(t, c.spec)
		if have := strings.Join(first(s, s.After(time.Time{}), 9), " "); have != c.want {
			t.Errorf("%s: due %s; want %s", name, have, c.want)
		}
	}
	s := compile(t, schedules.Spec{At: []string{"2024-05-01 09:00", "2024-05-02 09:00"}})
	if have := first(s, s.After(instant(t, "2024-05-01T09:00:00Z")), 9); len(have) != 1 {
		t.Errorf("after the first: %v", have)
	}
}

// TestIntervals checks that due times are multiples of the interval from an anchor on.
func TestIntervals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		every           time.Duration
		starting, after string
		want            string
	}{
		{90 * time.Minute, "", "2024-03-31T00:00:00Z", "03-31T03:30+02:00 03-31T05:00+02:00"},
		{90 * time.Minute, "", "2024-03-31T01:29:59Z", "03-31T03:30+02:00"},
		{7 * 24 * time.Hour, "2024-01-01 09:00", "2023-06-01T00:00:00Z", "01-01T09:00+01:00 01-08T09:00+01:00"},
		{7 * 24 * time.Hour, "2024-01-01 09:00", "2024-04-01T07:59:00Z", "04-01T10:00+02:00 04-08T10:00+02:00"},
		{time.Hour, "2024-03-31 02:30", "2024-01-01T00:00:00Z", "03-31T03:00+02:00 03-31T04:00+02:00"},
		{24 * time.Hour, "", "1969-12-30T12:00:00Z", "12-31T01:00+01:00 01-01T01:00+01:00"},
	} {
		s := compile(t, schedules.Spec{Every: c.every, Starting: c.starting, Timezone: "Europe/Berlin"})
		have := strings.Join(first(s, s.After(instant(t, c.after)), strings.Count(c.want, " ")+1), " ")
		if have != c.want {
			t.Errorf("every %s from %q after %s: due %s; want %s", c.every, c.starting, c.after, have, c.want)
		}
	}
}

// TestTheEnd checks that the search for due times ends.
func TestTheEnd(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]schedules.Spec{
		"cron":                       {Cron: "0 0 29 2 *", Timezone: "Europe/Berlin"},
		"cron without clock changes": {Cron: "0 0 29 2 *"},
		"every":                      {Every: 8 * 366 * 24 * time.Hour},
		"at":                         {At: []string{"9999-01-01T00:00:00Z"}},
	} {
		s := compile(t, spec)
		n := len(first(s, s.After(instant(t, "9980-01-01T00:00:00Z")), 100))
		if n < 1 || n > 5 {
			t.Errorf("%s: %d due times in the last 20 years", name, n)
		}
		if have := first(s, s.After(instant(t, "9999-12-31T23:59:59Z")), 1); len(have) != 0 {
			t.Errorf("%s: due at %v", name, have)
		}
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spec        schedules.Spec
		field, want string
		hint        string
	}{
		{schedules.Spec{}, "", "a schedule needs a time", "cron, every and at"},
		{schedules.Spec{Cron: "@daily", Every: time.Hour}, "", "can't have both cron and every", "two schedules"},
		{schedules.Spec{Cron: "0 0 31 2 *"}, "cron", "never fires", "29 days"},
		{
			schedules.Spec{Cron: "@daily", Timezone: "Europe/Berln"},
			"timezone", `unknown time zone "Europe/Berln"`,
			"IANA",
		},
		{schedules.Spec{Cron: "@daily", Timezone: "Local"}, "timezone", `unknown time zone "Local"`, "IANA"},
		{schedules.Spec{Cron: "@daily", Timezone: "../UTC"}, "timezone", `unknown time zone "../UTC"`, "IANA"},
		{schedules.Spec{Cron: "@daily", MissingTime: "run"}, "missing_time", `unknown value "run"`, "run_after, skip"},
		{
			schedules.Spec{Cron: "@daily", RepeatedTime: "twice"},
			"repeated_time", `unknown value "twice"`,
			"first, last, both",
		},
		{schedules.Spec{Cron: "@daily", Starting: "2024-01-01 09:00"}, "starting", "no meaning without every", ""},
		{schedules.Spec{Every: time.Hour, MissingTime: "skip"}, "missing_time", "no meaning with every", ""},
		{schedules.Spec{Every: time.Hour, Starting: "noon"}, "starting", `invalid time "noon"`, "2026-11-21T08:00:00Z"},
		{schedules.Spec{Every: -time.Hour}, "every", "-1h0m0s is not an interval", "1s"},
		{schedules.Spec{Every: 1500 * time.Millisecond}, "every", "1.5s is not an interval of whole seconds", "1s"},
		{schedules.Spec{At: []string{"2024-01-01"}}, "at", `invalid time "2024-01-01"`, "in the schedule's zone"},
		{
			schedules.Spec{At: []string{"2024-03-31 02:30"}, Timezone: "Europe/Berlin", MissingTime: "skip"},
			"at", `"2024-03-31 02:30" never occurs: a clock change in Europe/Berlin leaves it out`, "run_after",
		},
	} {
		_, err := c.spec.Compile()
		var problems schedules.Problems
		if !errors.As(err, &problems) || len(problems) != 1 {
			t.Errorf("%+v: %v", c.spec, err)
			continue
		}
		if p := problems[0]; p.Field != c.field || !strings.Contains(p.Message, c.want) ||
			!strings.Contains(p.Hint, c.hint) {
			t.Errorf("%+v: %+v; want %s: %s (%s)", c.spec, p, c.field, c.want, c.hint)
		}
	}
	_, err := schedules.Spec{Cron: "x", Timezone: "y", MissingTime: "z"}.Compile()
	if err == nil || err.Error() != `timezone: unknown time zone "y"; missing_time: unknown value "z"` {
		t.Errorf("several mistakes: %v", err)
	}
}
