//go:build !race

package expr_test

// The tests of this file take much time and memory, all in one goroutine. The race detector would take ten times as
// much.

import (
	"runtime"
	"strings"
	"testing"
)

// expensive are expressions that would take minutes or gigabytes without limits.
var expensive = map[string]string{
	"join with a long separator": `join(map(1..20000, ""), repeat("x", 500000))`,
	"replace of nothing":         `replace(repeat("a", 100000), "", repeat("b", 100000))`,
	"doubling text":              `reduce(1..60, #acc + #acc, "aaaaaaaaaa")`,
	"doubling list":              `reduce(1..60, concat(#acc, #acc), [1])`,
	"doubling shape":             `toJSON(reduce(1..60, [#acc, #acc], [1]))`,
	"doubling shape, compared": `let a = reduce(1..60, [#acc, #acc], [1]); ` +
		`let b = reduce(1..60, [#acc, #acc], [1]); a == b`,
	"doubling shape, flattened":   `flatten(reduce(1..60, [#acc, #acc], [1]))`,
	"doubling shape, unique":      `uniq([reduce(1..60, [#acc, #acc], [1])])`,
	"doubling shape, as numbers":  `max(reduce(1..60, [#acc, #acc], [1]))`,
	"doubling shape as the value": `reduce(1..60, {{"a": #acc, "b": #acc}}, [1])`,
	"deep list":                   `toJSON(reduce(1..100000, [#acc], 1))`,
	"nested quantifiers":          `count(1..9000, any(1..9000, # == 0.5))`,
	"three deep":                  `sum(map(1..1000, sum(map(1..1000, sum(map(1..1000, #))))))`,
	"long range":                  `len(1..9000000000000000000)`,
	"many ranges":                 `map(1..1000000, 1..1000000)`,
	"range over all":              `len(-9223372036854775808+0..9223372036854775807)`,
	"repeat":                      `repeat("abc", 1000000000000)`,
	"repeat of repeat":            `repeat(repeat("abc", 1000000), 1000000)`,
	"split into characters":       `map(1..1000, split(repeat("a", 1000000), ""))`,
	"base64 on base64":            `reduce(1..200, toBase64(#acc), "aaaaaaaaaa")`,
	"JSON of JSON":                `reduce(1..200, toJSON(#acc), "\"")`,
	"escapes of escapes":          `reduce(1..40, urlencode(#acc + #acc), "%")`,
	"trim with a long set":        `map(1..100000, trim(repeat("é", 100000), repeat("éa", 100000)))`,
	"pattern over long text":      `map(1..1000, repeat("a", 1000000) matches "(a|aa)+(a*b|c*)*d")`,
	"patterns by the thousand":    `map(1..100000, "x" matches "(x|y){1,300}" + string(#))`,
	"sorting long texts":          `sort(map(1..100000, repeat("a", 100000) + string(#)))`,
	"groups":                      `map(1..10000, groupBy(1..10000, #))`,
	"big powers":                  `map(1..10000000, 2 ** 62)`,
}

func TestHostileExpressions(t *testing.T) {
	for name, source := range expensive {
		t.Run(name, func(t *testing.T) {
			source = strings.ReplaceAll(source, "-9223372036854775808+0", "-9223372036854775807")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := evaluate(t, "${{ "+source+" }}")
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), "too expensive") {
				t.Errorf("got %.100s (%v), want an error", got, err)
			}
			if spent := (after.TotalAlloc - before.TotalAlloc) >> 20; spent > 256 {
				t.Errorf("%d MiB were allocated", spent)
			}
			_, err = condition(t, "len(toJSON("+source+")) == 1").Condition(sample(sampleInput))
			if err == nil || !strings.Contains(err.Error(), "too expensive") {
				t.Errorf("as a condition: %v", err)
			}
		})
	}
}

// TestLargeInput checks ordinary work over an input of 1 MB, as a setting and as a condition.
func TestLargeInput(t *testing.T) {
	input := `{"day":"d","count":3,"list":[` + strings.TrimSuffix(strings.Repeat(`"ab1",`, 100_000), ",") + `,` +
		strings.TrimSuffix(strings.Repeat(`123456,`, 45_000), ",") + `]}`
	for source, want := range map[string]string{
		`len(uniq(input.list))`:                     `2`,
		`count(input.list, # == 123456)`:            `45000`,
		`len(filter(input.list, # != "x"))`:         `145000`,
		`len(sort(map(input.list, string(#))))`:     `145000`,
		`len(join(input.list, ","))`:                `714999`,
		`len(toJSON(input.list))`:                   `915001`,
		`sum(input.list, # == "ab1" ? 0 : 1)`:       `45000`,
		`len(reverse(input.list)) + len(input)`:     `145003`,
		`"x" in input.list or 123456 in input.list`: `true`,
	} {
		got, err := evaluateWith(t, "${{ "+source+" }}", input)
		if err != nil || got != want {
			t.Errorf("%s is %.100s (%v), want %s", source, got, err, want)
		}
		if strings.Contains(source, "sort(") {
			continue // takes too long for a transaction
		}
		if holds, err := condition(t, source+" == "+want).Condition(sample(input)); err != nil || !holds {
			t.Errorf("if: %s: %v (%v)", source, holds, err)
		}
	}
}

// TestHostileConditions checks that the evaluation of one step of a run is bounded.
func TestHostileConditions(t *testing.T) {
	e := condition(t, `count(1..900000, true) == 900000 or len(input.list) > 0`)
	v, failed := sample(sampleInput), 0
	for range 20 {
		if _, err := e.Condition(v); err != nil {
			failed++
		}
	}
	if failed == 0 || failed == 20 {
		t.Errorf("%d of 20 were refused", failed)
	}
}
