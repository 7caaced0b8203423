package definition_test

import (
	"encoding/json"
	"strings"
	"testing"
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
		` { "any" : null, "z":"<x>", "n": 9007199254740993 } `: `{"z":"<x>","n":9007199254740993,"any":null}`,
		`{"z":"x","f":1.50,"b":false,"o":{"b":1,"a":2},"a":[]}`: `{"z":"x","n":5,` +
			`"f":1.50,"b":false,"o":{"a":2,"b":1},"a":[]}`,
		`{"z":"x","n":null,"f":null}`:        `{"z":"x","n":5}`,
		`{"z":"x","f":12345678901234567890}`: `{"z":"x","n":5,"f":12345678901234567890}`,
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
		"{\"o\":{\"é\":[1,{\"b\":1,\n\"b\":2}]}}": `input: line 2, column 1, ` +
			`at o["é"][1]: the key "b" is there twice`,
		`{"z":3,"n":"5","b":"true","o":[],"a":{},"f":"1"}`: `input.z: it is a number, and must be of type ` +
			`string (put it into quotes)
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
