package app_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type dueTime struct {
	DueAt       string  `json:"due_at"`
	LocalTime   string  `json:"local_time"`
	Timezone    string  `json:"timezone"`
	MissingTime *string `json:"missing_time"`
}

// TestSchedulesNext checks due times as text and as JSON. No database is needed.
func TestSchedulesNext(t *testing.T) {
	t.Parallel()
	p := &program{url: "postgres://nobody@127.0.0.1:1/none"}
	berlin := []string{
		"schedules", "next", "30 2 * * *", "--timezone", "Europe/Berlin", "--from", "2024-03-30T12:00:00Z", "--count",
		"2",
	}
	const text = `DUE                   DAY  LOCAL                      ZONE
2024-03-31T01:00:00Z  Sun  2024-03-31T03:00:00+02:00  Europe/Berlin  ` +
		`for 2024-03-31T02:30:00, which a clock change leaves out
2024-04-01T00:30:00Z  Mon  2024-04-01T02:30:00+02:00  Europe/Berlin
`
	if diff := cmp.Diff(text, p.ok(t, berlin...)); diff != "" {
		t.Error(diff)
	}
	missing := "2024-03-31T02:30:00"
	want := []dueTime{
		{"2024-03-31T01:00:00.000000Z", "2024-03-31T03:00:00+02:00", "Europe/Berlin", &missing},
		{"2024-04-01T00:30:00.000000Z", "2024-04-01T02:30:00+02:00", "Europe/Berlin", nil},
	}
	if diff := cmp.Diff(want, decode[listing[dueTime]](t, p.ok(t, append(berlin, "-o", "json")...)).Items); diff != "" {
		t.Error(diff)
	}

	for name, c := range map[string]struct {
		args, want []string // want are the due times
	}{
		"skip": {
			append(berlin, "--missing-time", "skip"),
			[]string{"2024-04-01T00:30:00Z", "2024-04-02T00:30:00Z"},
		},
		"both": {
			[]string{
				"@daily", "--timezone", "America/Havana", "--repeated-time", "both", "--from", "2024-11-02 12:00",
				"--until",
				"2024-11-03 23:00",
			},
			[]string{"2024-11-03T04:00:00Z", "2024-11-03T05:00:00Z"},
		},
		"local times, and a span": {
			[]string{
				"--every", "90m", "--starting", "2024-01-01 09:00", "--timezone", "Asia/Tokyo", "--from",
				"2024-01-01 08:00",
				"--until", "4h",
			},
			[]string{"2024-01-01T00:00:00Z", "2024-01-01T01:30:00Z", "2024-01-01T03:00:00Z"},
		},
		"listed times": {
			[]string{"--at", "2024-05-01 09:00", "--at", "2024-04-01T09:00:00Z", "--from", "2024-01-01"},
			[]string{"2024-04-01T09:00:00Z", "2024-05-01T09:00:00Z"},
		},
	} {
		args := c.args
		if args[0] != "schedules" {
			args = append([]string{"schedules", "next"}, args...)
		}
		var have []string
		for line := range strings.Lines(p.run(t, args...).stdout) {
			if due, _, _ := strings.Cut(line, " "); due != "DUE" {
				have = append(have, due)
			}
		}
		if !cmp.Equal(have, c.want) {
			t.Errorf("%s: %v; want %v", name, have, c.want)
		}
	}
	if now := p.ok(t, "schedules", "next", "@hourly"); strings.Count(now, "\n") != 11 {
		t.Errorf("without flags:\n%s", now)
	}

	r := p.run(t, "schedules", "next", "@hourly", "--from", "2024-01-01", "--until", "2024-01-02", "--count", "3")
	if want := "more are due until then: go on with --from 2024-01-01T03:00:00Z\n"; r.code != 0 || r.stderr != want {
		t.Errorf("more: %+v", r)
	}
	r = p.run(t, "schedules", "next", "--at", "2024-01-01T00:00:00Z", "--from", "2024-01-01T00:00:00Z")
	if r.code != 0 || r.stdout != "" || r.stderr != "nothing is due in that time\n" {
		t.Errorf("none: %+v", r)
	}
}

func TestSchedulesNextMistakes(t *testing.T) {
	t.Parallel()
	p := &program{url: "postgres://nobody@127.0.0.1:1/none"}
	for _, c := range []struct{ args, words []string }{
		{nil, []string{"a schedule needs a time", "give an expression, --every or --at"}},
		{[]string{"0", "3", "*", "*", "*"}, []string{`unexpected argument "3"`, "put the expression in quotes"}},
		{[]string{"60 * * * *"}, []string{`minute: "60" is not from 0 to 59, at character 1 of "60 * * * *"`}},
		{[]string{"0 0 31 2 *"}, []string{"never fires", "February has at most 29 days"}},
		{[]string{"@daily", "--every", "1h"}, []string{"both cron and every", "only one of them"}},
		{
			[]string{"@daily", "--timezone", "Mars/Base"},
			[]string{`--timezone: unknown time zone "Mars/Base"`, "Europe/Berlin"},
		},
		{[]string{"@daily", "--missing-time", "never"}, []string{"expected one of run_after, skip"}},
		{[]string{"@daily", "--starting", "2024-01-01 09:00"}, []string{"--starting: it has no meaning without every"}},
		{
			[]string{"--every", "1h", "--repeated-time", "last"},
			[]string{"--repeated-time: it has no meaning with every"},
		},
		{[]string{"--every", "10ms"}, []string{"expected at least 1s"}},
		{[]string{"--at", "noon"}, []string{`--at: invalid time "noon"`, "in the schedule's zone"}},
		{[]string{"@daily", "--from", "noon"}, []string{`--from: invalid time "noon"`, "(in UTC), or how long ago"}},
		{[]string{"@daily", "--until", "noon"}, []string{`--until: invalid time "noon"`, "how long after --from"}},
		{[]string{"@daily", "--count", "10001"}, []string{"expected a whole number from 1 to 10000"}},
	} {
		p.fails(t, 2, c.words, append([]string{"schedules", "next"}, c.args...)...)
	}
	p.fails(t, 2, []string{`unknown command "schedules nxt"`, `did you mean "next"?`}, "schedules", "nxt")
}
