package cron_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/schedules/cron"
)

func parse(t *testing.T, text string) *cron.Expression {
	t.Helper()
	e, err := cron.Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return e
}

func wall(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestNext checks which wall times expressions match, in 2026. The first of January is a Thursday.
func TestNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expression string
		want       string // the next ones
	}{
		{"* * * * *", "01-01 00:00, 01-01 00:01"},
		{"15 10 * * *", "01-01 10:15, 01-02 10:15"},
		{"  05\t4   * * *  ", "01-01 04:05, 01-02 04:05"},
		{"5-59/15 9 * * *", "01-01 09:05, 01-01 09:20, 01-01 09:35, 01-01 09:50, 01-02 09:05"},
		{"*/20 23 31 * *", "01-31 23:00, 01-31 23:20, 01-31 23:40, 03-31 23:00"},
		{"0 6,4-5,5 * * *", "01-01 04:00, 01-01 05:00, 01-01 06:00, 01-02 04:00"},
		{"0 0 * jan,MAR Mon", "01-05 00:00, 01-12 00:00, 01-19 00:00, 01-26 00:00, 03-02 00:00"},
		{"0 0 * * MON-FRI/2", "01-02 00:00, 01-05 00:00, 01-07 00:00, 01-09 00:00"},
		{"0 0 * * 0", "01-04 00:00, 01-11 00:00"},
		{"0 0 * * 7", "01-04 00:00, 01-11 00:00"},
		{"0 0 * * sun", "01-04 00:00, 01-11 00:00"},
		{"0 0 * * FRI-SUN", "01-02 00:00, 01-03 00:00, 01-04 00:00, 01-09 00:00"},
		{"0 0 * * 5-7", "01-02 00:00, 01-03 00:00, 01-04 00:00, 01-09 00:00"},
		{"0 0 * * */2", "01-01 00:00, 01-03 00:00, 01-04 00:00, 01-06 00:00"},
		// If both days are restricted, one of them is enough; a full range and a step restrict, too.
		{"0 12 1 * MON", "01-01 12:00, 01-05 12:00, 01-12 12:00, 01-19 12:00, 01-26 12:00, 02-01 12:00"},
		{"0 12 1-31 * MON", "01-01 12:00, 01-02 12:00, 01-03 12:00"},
		{"0 12 */10 * MON", "01-01 12:00, 01-05 12:00, 01-11 12:00, 01-12 12:00, 01-19 12:00, 01-21 12:00"},
		{"0 12 * * MON", "01-05 12:00, 01-12 12:00"},
		{"0 0 31 2 MON", "02-02 00:00, 02-09 00:00"},
		{"@yearly", ""},
		{"@annually", ""},
		{"@monthly", "02-01 00:00, 03-01 00:00"},
		{"@weekly", "01-04 00:00, 01-11 00:00"},
		{"@daily", "01-02 00:00, 01-03 00:00"},
		{"@midnight", "01-02 00:00, 01-03 00:00"},
		{"@hourly", "01-01 01:00, 01-01 02:00"},
	} {
		e := parse(t, c.expression)
		var have []string
		from := wall(t, "2026-01-01 00:00")
		if strings.HasPrefix(c.expression, "@") {
			from = from.Add(time.Nanosecond) // between two minutes
		}
		for range strings.Count(c.want, ",") + 1 {
			at, ok := e.Next(from, wall(t, "2027-01-01 00:00"))
			if !ok {
				break
			}
			have = append(have, at.Format("01-02 15:04"))
			from = at.Add(time.Minute)
		}
		if got := strings.Join(have, ", "); got != c.want {
			t.Errorf("%q matches %s; want %s", c.expression, got, c.want)
		}
	}
}

// TestNextIsBounded checks the bounds, and the longest time between two matches.
func TestNextIsBounded(t *testing.T) {
	t.Parallel()
	leap := parse(t, "0 0 29 2 *")
	for from, want := range map[string]string{
		"1896-03-01": "1904-02-29", "2026-01-01": "2028-02-29",
		"2096-03-01": "2104-02-29",
	} {
		start, end := wall(t, from+" 00:00"), wall(t, want+" 00:00")
		if at, ok := leap.Next(start, end.Add(1)); !ok || !at.Equal(end) {
			t.Errorf("after %s: %v, %v", from, at, ok)
		}
		if at, ok := leap.Next(start, end); ok {
			t.Errorf("before %s: %v", want, at)
		}
	}
	if at, ok := parse(t, "0 3 * * *").Next(wall(t, "2026-01-01 03:01"), wall(t, "2026-01-02 03:00")); ok {
		t.Errorf("found %v", at)
	}
}

func TestInterval(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]bool{
		"* * * * *": true, "30 * * * *": true, "30 */1 * * *": true, "30 *,3 * * *": true, "*/15 2 * * *": true,
		"0-30/10 2 * * *": true, "* 2 * * *": true, "@hourly": true,
		"30 2 * * *": false, "0,30 2,4 * * *": false, "30 0-23 * * *": false, "0 */2 * * *": false,
		"0-59 2 * * *": false, "0 2-8/3 * * *": false, "0 2 */2 */3 *": false, "@daily": false,
	} {
		if got := parse(t, expression).Interval(); got != want {
			t.Errorf("%q: %v", expression, got)
		}
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expression, message, hint string }{
		{"", `"" has 0 fields, not 5`, "the five fields are minute"},
		{"0 3 * *", `"0 3 * *" has 4 fields, not 5`, "the five fields are minute"},
		{"0 0 3 * * *", "has 6 fields, not 5", "there is none for seconds or years"},
		{"0 0 3 * * * 2026", "has 7 fields, not 5", "`every`"},
		{"60 * * * *", `minute: "60" is not from 0 to 59, at character 1 of "60 * * * *"`, ""},
		{"0 24 * * *", `hour: "24" is not from 0 to 23, at character 3 of`, ""},
		{"0 0 0 * *", `day of month: "0" is not from 1 to 31, at character 5`, ""},
		{"0 0 1,5,32 * *", `day of month: "32" is not from 1 to 31, at character 9`, ""},
		{"0 0 1 13 *", `month: "13" is not from 1 to 12`, ""},
		{"0 0 * * 8", `day of week: "8" is not from 0 to 7`, ""},
		{"0 0 * * 1-9", `day of week: "9" is not from 0 to 7, at character 11`, ""},
		{
			"0 5-1 * * *", `hour: "5-1" is a range that ends before it begins, at character 3`,
			"write two ranges: 5-23,0-1",
		},
		{"0 0 * * FRI-MON", `day of week: "FRI-MON" is a range`, "FRI-7,0-MON"},
		{"0 0 * NOV-FEB *", `month: "NOV-FEB" is a range`, "NOV-12,1-FEB"},
		{"5/15 * * * *", `minute: "5/15" has a step of a single value`, "write 5-59/15"},
		{"/30 * * * *", `minute: "/30" has a step of nothing`, "write */30"},
		{"*/0 * * * *", `minute: "0" is not a step, at character 3`, "smallest step is 1"},
		{"*/ * * * *", `minute: "" is not a step, at character 3`, "whole number"},
		{"*/5/5 * * * *", `minute: "5/5" is not a step`, "whole number"},
		{"*/90 * * * *", `minute: "90" is a step of more than 59`, "steps start again with each hour"},
		{"0 */24 * * *", `hour: "24" is a step of more than 23`, "with each day"},
		{"0 0 * * */8", `day of week: "8" is a step of more than 7`, "with each week"},
		{"1,,2 * * * *", `minute: "" is not a value, at character 3`, "empty items"},
		{"1, 2 * * *", `minute: "" is not a value, at character 3`, "without spaces"},
		{"1-2-3 * * * *", `minute: "2-3" is not a value`, "0 to 59"},
		{"-5 * * * *", `minute: "" is not a value, at character 1`, ""},
		{"+5 * * * *", `minute: "+5" is not a value`, ""},
		{"**/2 * * * *", `minute: "**" is not a value`, ""},
		{"MON * * * *", `minute: "MON" is not a value`, "values are 0 to 59"},
		{"0 0 * * MONDAY", `day of week: "MONDAY" is not a value`, "first three letters"},
		{"0 0 * 1.5 *", `month: "1.5" is not a value`, ""},
		{"0 0 L * *", `day of month: "L" is not a value, at character 5`, "other dialects"},
		{"0 0 15W * *", `day of month: "15W" is not a value`, "other dialects"},
		{"0 0 ? * MON", `day of month: "?" is not a value`, "other dialects"},
		{"0 0 * * 5#3", `day of week: "5#3" is not a value`, "other dialects"},
		{"0 0 * * 5L", `day of week: "5L" is not a value`, "other dialects"},
		{"H * * * *", `minute: "H" is not a value`, "other dialects"},
		{"é 24 * * *", `minute: "é" is not a value, at character 1`, ""},
		{"0 0 * * é,8", `day of week: "é" is not a value, at character 9`, ""},
		{"0 0\n* * *", `has 4 fields, not 5`, ""},
		{"TZ=UTC 0 0 * * *", `"TZ=UTC" is not part of an expression`, "`timezone`"},
		{"CRON_TZ=UTC 0 0 * * *", `"CRON_TZ=UTC" is not part of an expression`, "`timezone`"},
		{"@Daily", `unknown nickname "@Daily"`, "@midnight"},
		{"@daily 0 0 * * *", `unknown nickname`, ""},
		{"@every 5m", `unknown nickname "@every 5m"`, "`every`"},
		{"@reboot", `unknown nickname "@reboot"`, "`sluice start`"},
		{"0 0 31 2 *", `"0 0 31 2 *" never fires`, "February has at most 29 days"},
		{"* * 30,31 FEB *", `"* * 30,31 FEB *" never fires`, ""},
		{"0 0 31 2,4,6,9,11 *", "never fires", ""},
		{strings.Repeat("1,", 600) + "1 * * * *", "the expression has 1209 bytes, allowed are 1000", ""},
	} {
		_, err := cron.Parse(c.expression)
		var wrong *cron.Error
		if !errors.As(err, &wrong) || !strings.Contains(wrong.Message, c.message) ||
			!strings.Contains(wrong.Hint, c.hint) {
			t.Errorf("%q: %+v; want %q (%q)", c.expression, wrong, c.message, c.hint)
		}
	}
}

// values draws a field as a list of values, and as text that means the same.
func values(t *rapid.T, name string, low, high int) (set []int, text string) {
	if rapid.Bool().Draw(t, name+" is *") {
		for v := low; v <= high; v++ {
			set = append(set, v)
		}
		return set, "*"
	}
	var items []string
	for range rapid.IntRange(1, 3).Draw(t, name+" items") {
		first := rapid.IntRange(low, high).Draw(t, name+" first")
		last := rapid.IntRange(first, high).Draw(t, name+" last")
		step := rapid.IntRange(1, max(high, 1)).Draw(t, name+" step")
		items = append(items, fmt.Sprintf("%d-%d/%d", first, last, step))
		for v := first; v <= last; v += step {
			set = append(set, v)
		}
	}
	return set, strings.Join(items, ",")
}

// TestNextFindsTheFirstMatch compares Next with a search minute by minute, field by field.
func TestNextFindsTheFirstMatch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		minutes, minute := values(t, "minute", 0, 59)
		hours, hour := values(t, "hour", 0, 23)
		days, day := values(t, "day", 1, 31)
		months, month := values(t, "month", 1, 12)
		weekdays, weekday := values(t, "weekday", 0, 6)
		from := time.Unix(rapid.Int64Range(-2e9, 4e9).Draw(t, "from"), 0).UTC()
		before := from.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(t, "minutes")) * time.Minute)

		var want time.Time
		for at := from.Truncate(time.Minute); at.Before(before); at = at.Add(time.Minute) {
			onDay := slices.Contains(days, at.Day())
			if onWeekday := slices.Contains(weekdays, int(at.Weekday())); day != "*" && weekday != "*" {
				onDay = onDay || onWeekday
			} else {
				onDay = onDay && onWeekday
			}
			if !at.Before(from) && onDay && slices.Contains(minutes, at.Minute()) &&
				slices.Contains(hours, at.Hour()) &&
				slices.Contains(months, int(at.Month())) {
				want = at
				break
			}
		}
		text := strings.Join([]string{minute, hour, day, month, weekday}, " ")
		e, err := cron.Parse(text)
		if err != nil && !strings.Contains(err.Error(), "never fires") {
			t.Fatal(text, err)
		}
		if err != nil {
			if !want.IsZero() {
				t.Fatalf("%q never fires, and matches %v", text, want)
			}
			return
		}
		if at, ok := e.Next(from, before); ok != !want.IsZero() || ok && !at.Equal(want) {
			t.Fatalf("%q matches %v (%v) in [%v, %v); want %v", text, at, ok, from, before, want)
		}
	})
}
