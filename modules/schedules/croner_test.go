package schedules_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/schedules"
)

// cronerCase is what croner computes for an expression in a zone after an instant.
type cronerCase struct {
	expression, zone string
	after            time.Time
	due              []time.Time // the next two, or less if there are no more
}

func cronerCases(t *testing.T) (list []cronerCase) {
	t.Helper()
	file, err := os.ReadFile("testdata/croner.tsv.gz")
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	lines := csv.NewReader(unzipped)
	lines.Comma, lines.FieldsPerRecord, lines.LazyQuotes = '\t', -1, true
	records, err := lines.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		c := cronerCase{expression: r[0], zone: r[1]}
		for i, text := range r[2:] {
			seconds, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				t.Fatal(r, err)
			}
			if at := time.Unix(seconds, 0).UTC(); i == 0 {
				c.after = at
			} else {
				c.due = append(c.due, at)
			}
		}
		list = append(list, c)
	}
	return list
}

// compute returns the same from this package, with options for clock changes.
func (c cronerCase) compute(t *testing.T, missing, repeated string) (list []schedules.Due) {
	t.Helper()
	s, err := schedules.Spec{
		Cron: c.expression, Timezone: c.zone, MissingTime: missing, RepeatedTime: repeated,
	}.Compile()
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	for d := range s.After(c.after) {
		if list = append(list, d); len(list) == 2 {
			break
		}
	}
	return list
}

func (c cronerCase) same(list []schedules.Due) bool {
	return slices.EqualFunc(c.due, list, func(at time.Time, d schedules.Due) bool { return at.Equal(d.At) })
}

// changes reports whether the clock changes before the last of the due times.
func (c cronerCase) changes(t *testing.T) bool {
	t.Helper()
	zone, err := time.LoadLocation(c.zone)
	if err != nil {
		t.Fatal(err)
	}
	_, end := c.after.In(zone).ZoneBounds()
	return !end.IsZero() && !end.After(c.due[len(c.due)-1])
}

// difference is a reason why croner's due times differ from those of this package.
type difference struct {
	reason            string
	applies           func(c cronerCase, due []schedules.Due) bool
	missing, repeated string // the options by which this package computes croner's due times
	cases             int
}

var differences = []difference{
	{
		reason: "a step in the hour field: croner takes the expression for an interval, and this package for " +
			"fixed times",
		applies: func(c cronerCase, _ []schedules.Due) bool {
			f := strings.Fields(c.expression)
			return strings.Contains(f[1], "/") && !strings.ContainsAny(f[0], "*/")
		},
		missing: schedules.Skip, repeated: schedules.Both,
		cases: 175,
	},
	{
		reason: "the gap ends on another day: croner leaves its times out, and this package runs after it",
		applies: func(c cronerCase, due []schedules.Due) bool {
			location, err := time.LoadLocation(c.zone)
			return err == nil && slices.ContainsFunc(due, func(d schedules.Due) bool {
				return !d.Missing.IsZero() && d.Missing.Day() != d.At.In(location).Day()
			})
		},
		missing: schedules.Skip, repeated: schedules.First,
		cases: 3,
	},
}

// TestCroner compares the due times after an instant with those of npm's croner (testdata/croner/generate.mjs), with
// its option that lists and ranges are fixed times.
func TestCroner(t *testing.T) {
	t.Parallel()
	cases, changed := cronerCases(t), 0
	counts := make([]int, len(differences))
	for _, c := range cases {
		list := c.compute(t, "", "")
		if c.changes(t) {
			changed++
		}
		if c.same(list) {
			continue
		}
		i := slices.IndexFunc(differences, func(d difference) bool {
			return d.applies(c, list) && c.same(c.compute(t, d.missing, d.repeated))
		})
		if i < 0 {
			t.Errorf("%q in %s after %s is due at %v; croner: %v", c.expression, c.zone, c.after, list, c.due)
			continue
		}
		counts[i]++
	}
	for i, d := range differences {
		if counts[i] != d.cases {
			t.Errorf("%d cases differ because of %s; want %d", counts[i], d.reason, d.cases)
		}
	}
	if len(cases) < 12_000 || changed < 4500 {
		t.Errorf("%d cases, %d of them across a clock change", len(cases), changed)
	}
	t.Logf("%d cases, %d of them across a clock change; %v differ", len(cases), changed, counts)
}
