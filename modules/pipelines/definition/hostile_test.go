//go:build !race

package definition_test

// The tests of this file take much time and memory, all in one goroutine. The race detector would take ten times as
// much.

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

// expensive are expressions that would take minutes or gigabytes without limits.
var expensive = map[string]string{
	"join with a long separator":  `join(map(1..20000, ""), repeat("x", 500000))`,
	"replace of nothing":          `replace(repeat("a", 100000), "", repeat("b", 100000))`,
	"doubling text":               `reduce(1..60, #acc + #acc, "aaaaaaaaaa")`,
	"doubling list":               `reduce(1..60, concat(#acc, #acc), [1])`,
	"doubling shape":              `toJSON(reduce(1..60, [#acc, #acc], [1]))`,
	"doubling shape, compared":    `let a = reduce(1..60, [#acc, #acc], [1]); let b = reduce(1..60, [#acc, #acc], [1]); a == b`,
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
			got, err := resolveText(t, "${{ "+source+" }}")
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), "too expensive") {
				t.Errorf("got %.100s (%v), want an error", got, err)
			}
			if spent := (after.TotalAlloc - before.TotalAlloc) >> 20; spent > 256 {
				t.Errorf("%d MiB were allocated", spent)
			}
			d := echoing("x")
			d.Tasks[3].If = "len(toJSON(" + source + ")) == 1"
			if err := d.Check(catalog(t)); err != nil {
				t.Fatal(err)
			}
			if _, err := task(t, &d, "last").Condition(values(sampleInput, nil)); err == nil ||
				!strings.Contains(err.Error(), "too expensive") {
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
		d := echoing("${{ " + source + " }}")
		d.Tasks[3].If = source + " == " + want
		if err := d.Check(catalog(t)); err != nil {
			t.Fatal(err)
		}
		got, err := task(t, &d, "last").Resolve(t.Context(), values(input, nil))
		var with struct{ V json.RawMessage }
		if err == nil {
			err = json.Unmarshal(got.With, &with)
		}
		if err != nil || string(with.V) != want {
			t.Errorf("%s is %.100s (%v), want %s", source, with.V, err, want)
		}
		if strings.Contains(source, "sort(") {
			continue // takes too long for a transaction
		}
		if holds, err := task(t, &d, "last").Condition(values(input, nil)); err != nil || !holds {
			t.Errorf("if: %s: %v (%v)", source, holds, err)
		}
	}
}

// TestHostileConditions checks that the evaluation of one step of a run is bounded.
func TestHostileConditions(t *testing.T) {
	d := echoing("x")
	d.Tasks[3].If = `count(1..900000, true) == 900000 or len(input.list) > 0`
	if err := d.Check(catalog(t)); err != nil {
		t.Fatal(err)
	}
	v, failed := values(sampleInput, nil), 0
	for range 20 {
		if _, err := task(t, &d, "last").Condition(v); err != nil {
			failed++
		}
	}
	if failed == 0 || failed == 20 {
		t.Errorf("%d of 20 were refused", failed)
	}
}

// TestHostileFiles parses files of up to the maximum size that are wrong throughout. Work that is quadratic in their
// size would take minutes or hours for each.
func TestHostileFiles(t *testing.T) {
	repeat := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	const head = "name: p\ntasks:\n"
	tests := map[string]string{
		"unknown needs":   head + repeat(20_000, "- {id: t%d, run: x, needs: [unknown-task]}\n"),
		"many needs":      head + "- {id: a, run: 'x', needs: [" + repeat(90_000, "t%d, ") + "]}\n",
		"unknown keys":    head + "- {id: a, run: x, " + repeat(80_000, "k%d: 1, ") + "}\n",
		"bad expressions": head + "- {id: a, uses: echo, with: {" + repeat(40_000, "k%d: '${{ x }}', ") + "}}\n",
		"bad values":      head + "- {id: a, uses: echo, env: {" + repeat(80_000, "%d: x, ") + "}}\n",
		"one long text":   head + "- id: a\n  uses: echo\n  with:\n    x: |\n" + repeat(30_000, "      ${{ x%d }}\n"),
		"escapes":         head + "- id: a\n  uses: echo\n  with: {x: \"" + strings.Repeat("$${{", 250_000) + "\"}\n",
		"fields and tasks": "name: p\ninput:\n" + repeat(20_000, "  field%d: string\n") + "tasks:\n" +
			repeat(10_000, "- {id: t%d, uses: echo, with: {x: '${{ input.x }}'}}\n"),
		"misspelt needs": head + repeat(20_000, "- {id: t%[1]d, run: x, needs: t%[1]d1}\n"),
		"many cycles": head + repeat(13_000,
			"- {id: t%[1]d1, run: x, needs: t%[1]d2}\n- {id: t%[1]d2, run: x, needs: t%[1]d1}\n"),
		"one input misread": "name: p\ninput: {" + repeat(60_000, "f%d: q, ") + "}\ntasks: []\n",
		"brackets":          head + strings.Repeat("[", 1_000_000),
		"quotes":            head + strings.Repeat("'", 1_000_000),
	}
	for name, src := range tests {
		t.Run(name, func(t *testing.T) {
			if len(src) > 1<<20 {
				t.Fatalf("%d bytes", len(src))
			}
			started := time.Now()
			if _, err := definition.Parse("p.yaml", []byte(src), catalog(t)); err == nil && name != "escapes" {
				t.Error("no error")
			}
			if took := time.Since(started); took > 2*time.Minute { // quadratic time would be hours
				t.Errorf("took %v", took)
			}
		})
	}
}
