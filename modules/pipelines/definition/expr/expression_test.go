package expr_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
)

func TestValues(t *testing.T) {
	tests := map[string]string{
		`plain`:                    `"plain"`,
		`${{ input.day }}`:         `"2026-01-02"`,
		`${{input.day}}`:           `"2026-01-02"`,
		`at ${{ input.day }}!`:     `"at 2026-01-02!"`,
		`${{ input["my-field"] }}`: `"dash"`,
		`${{ input.big }}`:         `9007199254740993`,
		`${{ needs.a.huge }}`:      `12345678901234567890`,
		`${{ needs.a.digits }}`:    `0.12345678901234567891`,
		`${{ needs.a.n }}`:         `5`,
		`${{ needs.a.f }}`:         `1.5`,
		`${{ needs.a.ok }}`:        `true`,
		`${{ needs.a.nested }}`:    `{"a":2,"b":1}`,
		`n=${{ needs.a.n }} ${{ input.list }} ${{ needs.a.nested }}`: `"n=5 [1,\"x\"] {\"a\":2,\"b\":1}"`,
		`huge=${{ needs.a.huge }}`:                                   `"huge=12345678901234567890"`,
		`${{ needs.a.n + 1 }}`:                                       `6`,
		`${{ input.big - 1 }}`:                                       `9007199254740992`,
		`${{ needs["my-task"].z }}`:                                  `1`,
		`${{ needs.a.outputs.n }}`:                                   `5`,
		`${{ needs.a.output.n }}`:                                    `5`,
		`${{ needs.a["outputs"].n }}`:                                `5`,
		`${{ needs.a.outputs.outputs }}`:                             `"own"`,
		`${{ needs.a?.missing }}`:                                    `null`,
		`${{ needs.a?.missing.deeper.still }}`:                       `null`,
		`${{ needs.a.null }}`:                                        `null`,
		`${{ needs.a.null?.x }}`:                                     `null`,
		`${{ needs.a.missing ?? "d" }}`:                              `"d"`,
		`${{ needs.a.null.x ?? "d" }}`:                               `"d"`,
		`${{ len(needs.a.missing) ?? 0 }}`:                           `0`,
		`${{ needs.a.items[7] ?? "d" }}`:                             `"d"`,
		`x${{ needs.a?.missing ?? "" }}`:                             `"x"`,
		`${{ needs.a[needs.a.missing.key]?.x ?? "d" }}`:              `"d"`,
		`${{ needs.a?.missing > 3 }}`:                                `false`,
		`${{ needs.a?.missing <= 3 }}`:                               `false`,
		`${{ 3 > needs.a?.missing }}`:                                `false`,
		`${{ needs.a?.missing == nil }}`:                             `true`,
		`${{ needs.a?.missing == "x" }}`:                             `false`,
		`${{ needs.a.huge > needs.a.n }}`:                            `true`,
		`${{ needs.a.huge < 1e20 }}`:                                 `true`,
		`${{ needs.a.n >= 5 and needs.a.f < 2 }}`:                    `true`,
		`${{ needs.a.s < "u" }}`:                                     `true`,
		`${{ input.opt ?? "none" }}`:                                 `"none"`,
		`${{ input.day == nil }}`:                                    `false`,
		`${{ filter(needs.a.items, .x > 1)[0].x }}`:                  `2`,
		`${{ map(needs.a.items, .x) }}`:                              `[1,2]`,
		`${{ {"a": {"b": 1}} }}`:                                     `{"a":{"b":1}}`,
		`${{ "}}" + '}}' }}`:                                         `"}}}}"`,
		"${{ `}}` }}":                                                `"}}"`,
		`${{ "a\"}}" }}`:                                             `"a\"}}"`,
		`$${{ input.day }}`:                                          `"${{ input.day }}"`,
		`cost $${{ ${{ needs.a.n }}`:                                 `"cost ${{ 5"`,
		`${{ toJSON(needs.a.nested) }}`:                              `"{\"a\":2,\"b\":1}"`,
		`${{ fromJSON("{\"n\": 9007199254740993}").n }}`:             `9007199254740993`,
		`${{ keys(needs.a.nested) }}`:                                `["a","b"]`,
		`${{ values(needs.a.nested) }}`:                              `[2,1]`,
		`${{ toPairs(needs.a.nested) }}`:                             `[["a",2],["b",1]]`,
		`${{ upper(input.day[0:4]) + "<&>" }}`:                       `"2026<&>"`,
		`${{ let n = needs.a.n; n * 2 }}`:                            `10`,
		`${{ input.day in ["2026-01-02"] ? "y" : "n" }}`:             `"y"`,
		`${{ input }}`: `{"big":9007199254740993,"count":3,` +
			`"day":"2026-01-02","list":[1,"x"],"my-field":"dash"}`,
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := evaluate(t, text)
			if err != nil || got != want {
				t.Errorf("got %s (%v), want %s", got, err, want)
			}
		})
	}
}

func TestRunErrors(t *testing.T) {
	tests := map[string]string{
		`${{ needs.a.s + needs.a.n }}`: `${{ needs.a.s + needs.a.n }}: invalid operation`,
		`${{ needs.a.items[7] }}`:      `needs.a.items has no element 7: write ?. or ??`,
		`${{ needs.a.missing }}`:       `needs.a has no key "missing"`,
		`${{ needs.a.missing.x }}`:     `needs.a has no key "missing"`,
		`${{ needs.a.null.x }}`:        `needs.a.null is null and has no key "x"`,
		`${{ needs.a.missing > 3 }}`:   `needs.a has no key "missing"`,
		`rm ${{ needs.a.missing }}`:    `needs.a has no key "missing"`,
		`rm ${{ needs.a.null }}`:       `the value is null, which is no text`,
		`rm ${{ input.opt }}`:          `the value is null, which is no text`,
		`${{ needs.a.s.x.y }}`:         `cannot read a key of a value that is not an object`,
		`${{ needs.a.huge + 1 }}`: `12345678901234567890 has more digits than can be ` +
			`calculated with: whole numbers range from`,
		`${{ needs.a.items > 3 }}`:                 `invalid operation`,
		`${{ keys(needs.a.s) }}`:                   `it takes an object, not a string`,
		`${{ fromJSON("[") }}`:                     `not JSON`,
		`${{ needs.a.f / 0 }}`:                     `division by zero`,
		`x${{ needs.a.f / 0 }}`:                    `division by zero`,
		`${{ repeat("x", 100000000) }}`:            `too expensive`,
		`${{ map(1..100000, map(1..100000, #)) }}`: `too expensive`,
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := evaluate(t, text)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %s (%v), want an error with %q", got, err, want)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	tests := map[string]string{
		`${{ input.dya }}`:            `input has no field "dya" (did you mean "day"?)`,
		`${{ input["dya"] }}`:         `input has no field "dya" (did you mean "day"?)`,
		`${{ let i = input; i.dya }}`: `unknown field dya`,
		`${{ input.my-field }}`:       `input has no field "my" (a name with - or . is written input["my-field"])`,
		`${{ needs.my-task.z }}`: `"my" is not among the task's needs ` +
			`(a name with - or . is written needs["my-task"])`,
		`${{ needs.other.x }}`:         `"other" is not among the task's needs (add "other" to the task's needs)`,
		`${{ needs.nobody.x }}`:        `"nobody" is not among the task's needs`,
		`${{ needs }}`:                 `needs stands alone (name a task: needs.<task>)`,
		`${{ let n = needs; n.a }}`:    `needs stands alone`,
		`${{ needs[input.day] }}`:      `must be named, not computed`,
		`${{ $env.needs }}`:            `unknown name "$env"`,
		`${{ $env }}`:                  `unknown name "$env"`,
		`${{ now() }}`:                 `expressions have no clock`,
		`${{ date("2026-01-02") }}`:    `expressions have no clock`,
		`${{ duration("1h") }}`:        `expressions have no clock`,
		`${{ timezone("UTC") }}`:       `expressions have no clock`,
		`${{ null }}`:                  `unknown name "null" (write nil)`,
		`${{ day }}`:                   `unknown name "day" (did you mean input.day?)`,
		`${{ a.n }}`:                   `unknown name "a" (did you mean needs.a?)`,
		`${{ inptu.day }}`:             `unknown name "inptu" (did you mean "input"?)`,
		`${{ input.count > "3" }}`:     `mismatched types int and string`,
		`${{ input.day == 3 }}`:        `mismatched types string and int`,
		`${{ input.day + 1 }}`:         `mismatched types string and int`,
		`${{ 1 + }}`:                   `unexpected token`,
		`${{ nofunc(1) }}`:             `unknown name "nofunc"`,
		`${{ len() }}`:                 `invalid number of arguments (expected 1, got 0)`,
		`${{ keys(input, 1) }}`:        `keys: invalid number of arguments (expected 1, got 2)`,
		`${{ 1 / 0 }}`:                 `division by zero`,
		`${{ 9223372036854775807+1 }}`: `9223372036854775807 + 1 is out of range`,
		`${{ needs.a.b() }}`:           `only functions can be called`,
		`${{ b"x" }}`:                  `bytes are no value`,
		`${{ bitand(1, 2) }}`:          `unknown name "bitand"`,
		`${{ uper("a") }}`:             `unknown name "uper" (did you mean "upper"?)`,
		`${{ }}`:                       `the expression is empty`,
		`${{ input.day }`:              `${{ is never closed by }} (write $${{ for a literal ${{)`,
		`${{ "}} `:                     `${{ is never closed by }}`,
		`${{ env("HOME") }}`:           `unknown name "env"`,
		`ok ${{ input.day }} ${{ x }}`: `unknown name "x"`,
		`${{ input.day matches "(" }}`: `error parsing regexp`,
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			if _, got := compile(text); got == nil || !strings.Contains(got.Message+" ("+got.Hint+")", want) {
				t.Errorf("got %+v, want %q", got, want)
			}
		})
	}
}

func TestEvaluationEndsWithItsContext(t *testing.T) {
	compiled, wrong := compile(`${{ count(1..9000, any(1..9000, # == 0.5)) }}`)
	if wrong != nil {
		t.Fatalf("%+v", wrong)
	}
	cause := errors.New("cancelled")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	e := expr.NewEvaluation(ctx, sample(sampleInput))
	defer e.Close()
	if v, err := e.Value(compiled); !errors.Is(err, cause) {
		t.Errorf("got %v (%v)", v, err)
	}
}
