package cron

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Error is what is wrong with an expression.
type Error struct {
	Message string // what is wrong, and where
	Hint    string // how to correct it; may be empty
}

func (e *Error) Error() string { return e.Message }

// maxLength is the longest expression, in bytes. One that lists all 60 minutes has some 200.
const maxLength = 1000

// nicknames are words for whole expressions.
var nicknames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// field is what one of the five fields allows.
type field struct {
	name     string
	min, max int
	names    []string // of the values from min on
}

var fields = [...]field{
	{name: "minute", max: 59},
	{name: "hour", max: 23},
	{name: "day of month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, names: []string{
		"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
	}},
	{name: "day of week", max: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

const (
	hintFields = "the five fields are minute, hour, day of month, month and day of week, such as 30 4 * * MON-FRI"
	hintEvery  = "a schedule with `every` has any interval, such as 90m or 10s"
)

// Parse reads an expression, or one of the nicknames @yearly, @annually, @monthly, @weekly, @daily, @midnight and
// @hourly. It returns an *Error if the text is not valid, or if it is valid but never matches a date.
func Parse(text string) (*Expression, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxLength {
		return nil, &Error{Message: fmt.Sprintf("the expression has %d bytes, allowed are %d", len(text), maxLength)}
	}
	if strings.HasPrefix(text, "@") {
		known, ok := nicknames[text]
		if !ok {
			return nil, unknownNickname(text)
		}
		return Parse(known)
	}
	p := &parser{text: text}
	parts, err := p.split()
	if err != nil {
		return nil, err
	}
	e := &Expression{anyDay: parts[2].text == "*", anyWeekday: parts[4].text == "*"}
	for i, set := range []*uint64{&e.minutes, &e.hours, &e.days, &e.months, &e.weekdays} {
		if *set, err = p.field(fields[i], parts[i]); err != nil {
			return nil, err
		}
	}
	if has(e.weekdays, 7) {
		e.weekdays = e.weekdays&^(1<<7) | 1
	}
	e.interval = strings.ContainsAny(parts[0].text, "*/") || everyHour(parts[1].text)
	if !e.possible() {
		return nil, &Error{
			Message: fmt.Sprintf("%q never fires: none of its months has one of its days", text),
			Hint:    "February has at most 29 days; April, June, September and November have 30",
		}
	}
	return e, nil
}

// everyHour reports whether an hour field has an item * or */1. A range of all hours lists them: it is a matter of
// intention, which the values do not show.
func everyHour(text string) bool {
	for item := range strings.SplitSeq(text, ",") {
		if item == "*" || item == "*/1" {
			return true
		}
	}
	return false
}

func unknownNickname(text string) error {
	hint := "the nicknames are @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly"
	switch {
	case strings.HasPrefix(text, "@every"):
		hint = hintEvery
	case text == "@reboot":
		hint = "a schedule fires at times; start a run when the machine starts with `sluice start` in a systemd unit"
	}
	return &Error{Message: fmt.Sprintf("unknown nickname %q", text), Hint: hint}
}

// parser reads one expression.
type parser struct{ text string }

// part is a piece of the expression.
type part struct {
	text string
	at   int // its offset, in bytes
}

// split returns the five fields.
func (p *parser) split() ([]part, error) {
	var parts []part
	for i := 0; i < len(p.text); {
		if p.text[i] == ' ' || p.text[i] == '\t' {
			i++
			continue
		}
		end := i
		for end < len(p.text) && p.text[end] != ' ' && p.text[end] != '\t' {
			end++
		}
		parts = append(parts, part{p.text[i:end], i})
		i = end
	}
	if len(parts) > 0 && strings.Contains(parts[0].text, "TZ=") {
		return nil, &Error{
			Message: fmt.Sprintf("%q is not part of an expression", parts[0].text),
			Hint:    "the schedule's `timezone` names the zone",
		}
	}
	if len(parts) != len(fields) {
		hint := hintFields
		if len(parts) == 6 || len(parts) == 7 {
			hint += "; there is none for seconds or years, and " + hintEvery
		}
		return nil, &Error{Message: fmt.Sprintf("%q has %d fields, not 5", p.text, len(parts)), Hint: hint}
	}
	return parts, nil
}

// field returns the set of values of a field, a list of items.
func (p *parser) field(f field, whole part) (set uint64, err error) {
	at := whole.at
	for item := range strings.SplitSeq(whole.text, ",") {
		values, err := p.item(f, part{item, at})
		if err != nil {
			return 0, err
		}
		set |= values
		at += len(item) + 1
	}
	return set, nil
}

// item returns the set of values of an item: *, a value or a range, of which * and a range may have a step.
func (p *parser) item(f field, item part) (set uint64, err error) {
	values, stepText, hasStep := strings.Cut(item.text, "/")
	low, high := f.min, f.max
	first, last, isRange := strings.Cut(values, "-")
	switch {
	case values == "" && hasStep:
		return 0, p.wrong(f, item, "has a step of nothing", "write */"+stepText)
	case values == "*":
		if f.name == "day of week" {
			high = 6
		}
	case isRange:
		if low, err = p.value(f, part{first, item.at}, false); err != nil {
			return 0, err
		}
		if high, err = p.value(f, part{last, item.at + len(first) + 1}, true); err != nil {
			return 0, err
		}
		if low > high {
			return 0, p.wrong(f, item, "is a range that ends before it begins",
				fmt.Sprintf("write two ranges: %s-%d,%d-%s", first, f.max, f.min, last))
		}
	default:
		if low, err = p.value(f, part{values, item.at}, false); err != nil {
			return 0, err
		}
		if hasStep {
			return 0, p.wrong(f, item, "has a step of a single value",
				fmt.Sprintf("write %s-%d/%s", values, f.max, stepText))
		}
		high = low
	}
	step := 1
	if hasStep {
		if step, err = p.step(f, part{stepText, item.at + len(values) + 1}); err != nil {
			return 0, err
		}
	}
	for v := low; v <= high; v += step {
		set |= 1 << v
	}
	return set, nil
}

// value reads a number or a name. The name of Sunday at the end of a range is 7.
func (p *parser) value(f field, v part, ends bool) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(v.text, name) {
			if name == "sun" && ends {
				return f.max, nil
			}
			return f.min + i, nil
		}
	}
	n, err := number(v.text)
	if err != nil {
		return 0, p.wrong(f, v, "is not a value", p.hintFor(f, v.text))
	}
	if n < f.min || n > f.max {
		return 0, p.wrong(f, v, fmt.Sprintf("is not from %d to %d", f.min, f.max), "")
	}
	return n, nil
}

func (p *parser) step(f field, s part) (int, error) {
	n, err := number(s.text)
	switch {
	case err != nil:
		return 0, p.wrong(f, s, "is not a step", "a step is a whole number, such as */15")
	case n == 0:
		return 0, p.wrong(f, s, "is not a step", "the smallest step is 1")
	case n > f.max:
		return 0, p.wrong(f, s, fmt.Sprintf("is a step of more than %d", f.max),
			"steps start again with each "+map[string]string{
				"minute": "hour", "hour": "day", "day of month": "month", "month": "year",
				"day of week": "week",
			}[f.name]+"; "+hintEvery)
	}
	return n, nil
}

func (p *parser) hintFor(f field, text string) string {
	switch {
	case text == "":
		return "a field is a list of values, ranges and steps without spaces and empty items, such as 0,15,30-45"
	case strings.ContainsAny(text, "?LlWw#HhRr") && len(text) < 4:
		return "?, L, W, #, H and R are of other dialects; * is the field that restricts nothing"
	case f.names != nil:
		return fmt.Sprintf("values are %d to %d, or the first three letters of the English name", f.min, f.max)
	}
	return fmt.Sprintf("values are %d to %d", f.min, f.max)
}

// wrong returns an error about a piece of a field.
func (p *parser) wrong(f field, piece part, what, hint string) error {
	return &Error{
		Message: fmt.Sprintf("%s: %q %s, at character %d of %q", f.name, piece.text, what,
			utf8.RuneCountInString(p.text[:piece.at])+1, p.text),
		Hint: hint,
	}
}

// number reads a whole number without a sign.
func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err
}
