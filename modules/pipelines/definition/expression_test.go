package definition_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

// echoing returns a pipeline whose last task gets the evaluated text v.
func echoing(v string) definition.Definition {
	with, err := json.Marshal(map[string]any{"v": v})
	if err != nil {
		panic(err)
	}
	return definition.Definition{
		Name: "p",
		Input: []definition.InputField{
			{Name: "day", Type: "string", Required: true},
			{Name: "count", Type: "integer", Default: json.RawMessage("3")},
			{Name: "big", Type: "integer"},
			{Name: "opt"},
			{Name: "list", Type: "array", Required: true},
			{Name: "my-field"},
		},
		Tasks: []definition.Task{
			{ID: "a", Run: "true"},
			{ID: "my-task", Run: "true"},
			{ID: "other", Run: "true"},
			{ID: "last", Needs: []string{"a", "my-task"}, Uses: "echo", With: with},
		},
	}
}

const (
	sampleInput = `{"day":"2026-01-02","count":3,"big":9007199254740993,"list":[1,"x"],"my-field":"dash"}`
	outputOfA   = `{"n":5,"f":1.5,"s":"text","ok":true,"items":[{"x":1},{"x":2}],"outputs":"own","huge":12345678901234567890,` +
		`"nested":{"b":1,"a":2},"digits":0.12345678901234567891,"null":null}`
)

func resolveText(t *testing.T, text string) (string, error) {
	t.Helper()
	d := echoing(text)
	if err := d.Check(catalog(t)); err != nil {
		t.Fatal(err)
	}
	got, err := task(t, &d, "last").
		Resolve(t.Context(), values(sampleInput, map[string]string{"a": outputOfA, "my-task": `{"z":1}`}))
	if err != nil {
		return "", err
	}
	var with struct{ V json.RawMessage }
	if err := json.Unmarshal(got.With, &with); err != nil {
		t.Fatal(err)
	}
	return string(with.V), nil
}

func TestExpressionValues(t *testing.T) {
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
		`${{ input }}`:                                               `{"big":9007199254740993,"count":3,"day":"2026-01-02","list":[1,"x"],"my-field":"dash"}`,
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := resolveText(t, text)
			if err != nil || got != want {
				t.Errorf("got %s (%v), want %s", got, err, want)
			}
		})
	}
}

func TestExpressionRunErrors(t *testing.T) {
	tests := map[string]string{
		`${{ needs.a.s + needs.a.n }}`:             `with.v: ${{ needs.a.s + needs.a.n }}: invalid operation`,
		`${{ needs.a.items[7] }}`:                  `needs.a.items has no element 7: write ?. or ??`,
		`${{ needs.a.missing }}`:                   `needs.a has no key "missing"`,
		`${{ needs.a.missing.x }}`:                 `needs.a has no key "missing"`,
		`${{ needs.a.null.x }}`:                    `needs.a.null is null and has no key "x"`,
		`${{ needs.a.missing > 3 }}`:               `needs.a has no key "missing"`,
		`rm ${{ needs.a.missing }}`:                `needs.a has no key "missing"`,
		`rm ${{ needs.a.null }}`:                   `the value is null, which is no text`,
		`rm ${{ input.opt }}`:                      `the value is null, which is no text`,
		`${{ needs.a.s.x.y }}`:                     `cannot read a key of a value that is not an object`,
		`${{ needs.a.huge + 1 }}`:                  `12345678901234567890 has more digits than can be calculated with: whole numbers range from`,
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
			got, err := resolveText(t, text)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %s (%v), want an error with %q", got, err, want)
			}
		})
	}
}

func TestExpressionCheckErrors(t *testing.T) {
	tests := map[string]string{
		`${{ input.dya }}`:             `tasks[3].with.v: input has no field "dya" (did you mean "day"?)`,
		`${{ input["dya"] }}`:          `input has no field "dya" (did you mean "day"?)`,
		`${{ let i = input; i.dya }}`:  `unknown field dya`,
		`${{ input.my-field }}`:        `input has no field "my" (a name with - or . is written input["my-field"])`,
		`${{ needs.my-task.z }}`:       `"my" is not among the task's needs (a name with - or . is written needs["my-task"])`,
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
			d := echoing(text)
			if err := d.Check(catalog(t)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestCondition(t *testing.T) {
	tests := []struct {
		text string
		want bool
		err  string
	}{
		{text: ``, want: true},
		{text: `  `, want: true},
		{text: `true`, want: true},
		{text: `needs.a.n == 5`, want: true},
		{text: `${{ needs.a.n == 5 }}`, want: true},
		{text: ` ${{ needs.a.n != 5 }} `},
		{text: `needs.a?.missing > 1`},
		{text: `not (needs.a?.missing > 1)`, want: true},
		{text: `needs.a.outputs.ok && input.day startsWith "2026"`, want: true},
		{text: `input.day contains "${{"`},
		{text: `needs.a.n`, err: `if: needs.a.n: the result is a number, and must be true or false`},
		{text: `needs.a?.missing`, err: `if: needs.a?.missing: the result is null, and must be true or false`},
		{text: `needs.a.s + 1`, err: `if: needs.a.s + 1: invalid operation`},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			d := echoing("x")
			d.Tasks[3].If = test.text
			if err := d.Check(catalog(t)); err != nil {
				t.Fatal(err)
			}
			got, err := task(t, &d, "last").Condition(values(sampleInput, map[string]string{"a": outputOfA}))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %v (%v), want the error %q", got, err, test.err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %v (%v), want %v", got, err, test.want)
			}
		})
	}
}

func TestConditionCheckErrors(t *testing.T) {
	tests := map[string]string{
		`${{ input.day }} == "x"`:                `tasks[3].if: unexpected token`,
		`${{ input.day == "x" }} && ${{ true }}`: `write ${{ }} around the whole expression or leave it out`,
		`input.dya == "x"`:                       `tasks[3].if: input has no field "dya"`,
		`${{ input.day == "x"`:                   `is never closed`,
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			d := echoing("x")
			d.Tasks[3].If = text
			if err := d.Check(catalog(t)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestOutputsNeeded(t *testing.T) {
	d := parse(t, `
name: p
tasks:
  - {id: a, run: "true"}
  - {id: b, run: "true"}
  - {id: c, run: "true"}
  - {id: shell, needs: [c, a, b], run: "echo ${{ needs.a.x }}", if: "needs.b.x == 1"}
  - {id: used, needs: [c, a, b], uses: echo, with: {x: ["${{ needs.b.y }}"]}, env: {V: "${{ needs.c.x }}"}, if: "needs.a.x == 1 and needs.c.y == 2"}
  - {id: plain, needs: [a], uses: echo}
`)
	want := map[string][2][]string{
		"a": {nil, nil}, "shell": {{"b"}, {"c", "a", "b"}}, "used": {{"c", "a"}, {"c", "b"}}, "plain": {nil, nil},
	}
	for id, w := range want {
		outputs, _ := task(t, d, id).ConditionOutputs()
		got := [2][]string{outputs, task(t, d, id).RequiredOutputs()}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
}

func TestResolveWith(t *testing.T) {
	d := parse(t, `
name: p
tasks:
  - {id: a, run: "true"}
  - id: b
    needs: a
    uses: echo
    with:
      "${{ key }}": untouched
      list: ["${{ needs.a.n }}", {deep: "x${{ needs.a.n }}"}, 1.10, 12345678901234567890, null]
      dollars: "$${{ x }}"
    env: {FIXED: "1.10", N: "${{ needs.a.n }}", ESCAPED: "$${{ x }}", NUMBER: 007}
`)
	got, err := task(t, d, "b").Resolve(t.Context(), values("", map[string]string{"a": `{"n":7}`}))
	if err != nil {
		t.Fatal(err)
	}
	want := definition.Resolved{
		With: json.RawMessage(
			`{"${{ key }}":"untouched","dollars":"${{ x }}","list":[7,{"deep":"x7"},1.10,12345678901234567890,null]}`),
		Env: map[string]string{"FIXED": "1.10", "N": "7", "ESCAPED": "${{ x }}", "NUMBER": "007"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	again, err := task(t, d, "b").Resolve(t.Context(), values("", map[string]string{"a": `{"n":8}`}))
	if err != nil || again.Env["N"] != "8" || got.Env["N"] != "7" {
		t.Errorf("a second call: %v %v, the first now %v", again.Env, err, got.Env)
	}
	plain, err := task(t, d, "a").Resolve(t.Context(), &definition.EvalContext{})
	if err != nil || string(plain.With) != `{"script":"true"}` || len(plain.Env) != 0 {
		t.Errorf("without expressions: %s %v %v", plain.With, plain.Env, err)
	}
}

func TestResolveRefusesWhatVariablesCannotHold(t *testing.T) {
	d := parse(t, `
name: p
tasks:
  - {id: a, run: "true"}
  - {id: b, needs: a, run: 'echo "${{ needs.a.v }}"'}
  - {id: c, needs: a, uses: echo, env: {NAME: "x${{ needs.a.v }}"}}
`)
	tests := []struct{ id, v, want string }{
		{"b", `{"v":"a\u0000b"}`, `run: the value of ${{ needs.a.v }} holds a NUL byte`},
		{"c", `{"v":"a\u0000b"}`, `env.NAME: the value of x${{ needs.a.v }} holds a NUL byte`},
		{"b", `{"v":"` + strings.Repeat("x", 128<<10) + `"}`, `more than an environment variable can hold`},
		{"b", `{`, `output of a`},
	}
	for _, test := range tests {
		_, err := task(t, d, test.id).Resolve(t.Context(), values("", map[string]string{"a": test.v}))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.id, err, test.want)
		}
	}
}
