package definition_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

func TestCheckInput(t *testing.T) {
	d := parse(t, `
name: p
input:
  z: {type: string, required: true, description: the day}
  n: {type: integer, default: 5}
  f: number
  b: boolean
  o: object
  a: array
  any: any
tasks: [{id: a, run: "true"}]
`)
	good := map[string]string{
		`{"z":"x"}`: `{"z":"x","n":5}`,
		` { "any" : null, "z":"<x>", "n": 9007199254740993 } `:  `{"z":"<x>","n":9007199254740993,"any":null}`,
		`{"z":"x","f":1.50,"b":false,"o":{"b":1,"a":2},"a":[]}`: `{"z":"x","n":5,"f":1.50,"b":false,"o":{"a":2,"b":1},"a":[]}`,
		`{"z":"x","n":null,"f":null}`:                           `{"z":"x","n":5}`,
		`{"z":"x","f":12345678901234567890}`:                    `{"z":"x","n":5,"f":12345678901234567890}`,
	}
	for raw, want := range good {
		if got, err := d.CheckInput(json.RawMessage(raw)); err != nil || string(got) != want {
			t.Errorf("%s: %s (%v), want %s", raw, got, err, want)
		}
	}
	bad := map[string]string{
		``:                  "input.z: it is required and missing (the day)",
		`{}`:                "input.z: it is required and missing (the day)",
		`{"z":null}`:        "input.z: it is required and missing (the day)",
		`[]`:                "input: it is an array, and must be an object",
		`{`:                 "input: it is not JSON: line 1, column 1: unexpected end of JSON input",
		`{"z":"a\u0000"}`:   `input: line 1, column 8, at z: a string holds \u0000, which no database keeps`,
		`{"z":"y","z":"x"}`: `input: line 1, column 10: the key "z" is there twice`,
		"{\"o\":{\"é\":[1,{\"b\":1,\n\"b\":2}]}}": `input: line 2, column 1, at o["é"][1]: the key "b" is there twice`,
		`{"z":3,"n":"5","b":"true","o":[],"a":{},"f":"1"}`: `input.z: it is a number, and must be of type string (put it into quotes)
input.n: it is a string, and must be of type integer (write it without quotes)
input.f: it is a string, and must be of type number (write it without quotes)
input.b: it is a string, and must be of type boolean (write it without quotes)
input.o: it is an array, and must be of type object
input.a: it is an object, and must be of type array`,
		`{"z":"x","n":"many","b":"yes","f":"1.5.0"}`: `input.n: it is a string, and must be of type integer
input.f: it is a string, and must be of type number
input.b: it is a string, and must be of type boolean`,
		`{"z":"x","n":1.0}`: "input.n: it is a number, and must be of type integer (a " +
			"whole number of 64 bits, without fraction and exponent)",
		`{"z":"x","n":9223372036854775808}`: "input.n: it is a number, and must be of type integer (a " +
			"whole number of 64 bits, without fraction and exponent)",
		`{"z":"x","anny":1,"zz":2}`: "input.anny: unknown field (did you mean " +
			"\"any\"?)\ninput.zz: unknown field (known: z, n, f, b, o, a, any)",
		`{"z":"` + strings.Repeat("x", 1<<20) + `"}`: "input: 1048584 bytes are more than the limit of 1048576",
		`{"z":"` + strings.Repeat("x", 1<<20-8) +
			`"}`: "input: with its defaults it has 1048582 bytes, more than the limit of 1048576",
	}
	for raw, want := range bad {
		if got, err := d.CheckInput(json.RawMessage(raw)); err == nil || err.Error() != want {
			t.Errorf("%.100s: %.100s (%v), want %s", raw, got, err, want)
		}
	}
}

func TestCheckInputUndeclared(t *testing.T) {
	d := parse(t, "name: p\ntasks: [{id: a, run: 'echo ${{ input.whatever }}'}]")
	for raw, want := range map[string]string{``: `{}`, `{"b":1,"a":[2]}`: `{"a":[2],"b":1}`} {
		if got, err := d.CheckInput(json.RawMessage(raw)); err != nil || string(got) != want {
			t.Errorf("%s: %s (%v)", raw, got, err)
		}
	}
	if got, err := d.CheckInput(json.RawMessage(`3`)); err == nil {
		t.Errorf("3 was taken: %s", got)
	}
}

func TestCheckJSON(t *testing.T) {
	good := []string{
		`null`, ` 3 `, `"x"`, `{"a":1,"a":2}`, `"\\u0000"`, `"\\\\u0000"`, `"\ud83d\ude00"`, `"😀"`, `1e1000`,
		`-1.5E-1000`, `"1e99999"`, `["[[[["]`,
		strings.Repeat("[", 100) + strings.Repeat("]", 100), `"\uFFFF"`, `{"e":"\"","f":[1,-2,3.5e+7]}`,
	}
	for _, raw := range good {
		if err := definition.CheckJSON([]byte(raw), 300); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
	bad := map[string]string{
		``:                  "it is empty",
		` `:                 "it is empty",
		`{"a":1} x`:         "it is not JSON: line 1, column 9: invalid character 'x'",
		`{"a":1}{}`:         "it is not JSON",
		`[1,]`:              "it is not JSON",
		`"\u0000"`:          `a string holds \u0000`,
		`{"\u0000":1}`:      `a string holds \u0000`,
		`"\\\u0000"`:        `a string holds \u0000`,
		"\"a\x00b\"":        "it is not JSON",
		"\"a\xff\"":         "line 1, column 3: byte 3 is not valid UTF-8",
		"\"a\xed\xa0\x80\"": "byte 3 is not valid UTF-8",
		`"\ud83d"`:          `a string holds \ud83d, which is half a character`,
		`"\ud83dx"`:         `half a character`,
		`"\ud83d\u0041"`:    `half a character`,
		`"\ude00\ud83d"`:    `half a character`,
		`1e1001`:            "the number 1e1001 is out of range",
		`[-1E-99999999999]`: "the number -1E-99999999999 is out of range",
		`"`:                 "it is not JSON",
		`"\`:                "it is not JSON",
		`"\u12`:             "it is not JSON",
		strings.Repeat("[", 101) + strings.Repeat("]", 101): "it is nested deeper than 100",
		strings.Repeat(`{"a":`, 5_000_000/5)[:299]:          "it is not JSON",
		strings.Repeat("x", 301):                            "301 bytes are more than the limit of 300",
	}
	for raw, want := range bad {
		if err := definition.CheckJSON([]byte(raw), 300); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want %q", raw, err, want)
		}
	}
	deep := []byte(strings.Repeat("[", 5_000_000))
	if err := definition.CheckJSON(deep, len(deep)); err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("five million brackets: %v", err)
	}
	long := []byte(strings.Repeat("9", 1001))
	if err := definition.CheckJSON(long, len(long)); err == nil || !strings.Contains(err.Error(), "out of range") {
		t.Errorf("a thousand digits: %v", err)
	}
}

func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,"\u0000"]}`, `"\ud83d\ude00"`, `[1e5,-0.3]`, `"\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if definition.CheckJSON(raw, 1<<20) == nil && !json.Valid(raw) {
			t.Fatalf("%q is let through", raw)
		}
	})
}
