package definition_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
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
	outputOfA   = `{"n":5,"f":1.5,"s":"text","ok":true,"items":[{"x":1},{"x":2}],"outputs":"own",` +
		`"huge":12345678901234567890,"nested":{"b":1,"a":2},"digits":0.12345678901234567891,"null":null}`
)

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
  - id: used
    needs: [c, a, b]
    uses: echo
    with: {x: ["${{ needs.b.y }}"]}
    env: {V: "${{ needs.c.x }}"}
    if: needs.a.x == 1 and needs.c.y == 2
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
	plain, err := task(t, d, "a").Resolve(t.Context(), &expr.Values{})
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

func TestResolveNamesTheSetting(t *testing.T) {
	d := echoing("${{ needs.a.s + needs.a.n }}")
	if err := d.Check(catalog(t)); err != nil {
		t.Fatal(err)
	}
	const want = "with.v: ${{ needs.a.s + needs.a.n }}: invalid operation"
	_, err := task(t, &d, "last").Resolve(t.Context(), values(sampleInput, map[string]string{"a": outputOfA}))
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	d = echoing("x ${{ input.dya }}")
	const place = `tasks[3].with.v: input has no field "dya" (did you mean "day"?)`
	if err := d.Check(catalog(t)); err == nil || err.Error() != place {
		t.Errorf("got %v, want %q", err, place)
	}
}
