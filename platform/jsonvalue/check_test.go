package jsonvalue_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

func TestCheck(t *testing.T) {
	good := []string{
		`null`, ` 3 `, `"x"`, `{"a":1,"a":2}`, `"\\u0000"`, `"\\\\u0000"`, `"\ud83d\ude00"`, `"😀"`, `1e1000`,
		`-1.5E-1000`, `"1e99999"`, `["[[[["]`,
		strings.Repeat("[", 100) + strings.Repeat("]", 100), `"\uFFFF"`, `{"e":"\"","f":[1,-2,3.5e+7]}`,
	}
	for _, raw := range good {
		if err := jsonvalue.Check([]byte(raw), 300); err != nil {
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
		if err := jsonvalue.Check([]byte(raw), 300); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want %q", raw, err, want)
		}
	}
	deep := []byte(strings.Repeat("[", 5_000_000))
	if err := jsonvalue.Check(deep, len(deep)); err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("five million brackets: %v", err)
	}
	long := []byte(strings.Repeat("9", 1001))
	if err := jsonvalue.Check(long, len(long)); err == nil || !strings.Contains(err.Error(), "out of range") {
		t.Errorf("a thousand digits: %v", err)
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":[1,"\u0000"]}`, `"\ud83d\ude00"`, `[1e5,-0.3]`, `"\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if jsonvalue.Check(raw, 1<<20) == nil && !json.Valid(raw) {
			t.Fatalf("%q is let through", raw)
		}
	})
}

func TestCheckUnique(t *testing.T) {
	for raw, want := range map[string]string{
		`{"a":{"b":1},"b":[{"a":1},{"a":2}]}`:       "",
		`{"a":{"b":1,"b":2}}`:                       `line 1, column 13, at a: the key "b" is there twice`,
		"{\"é\":[0,{\"x y\":{\"b\":1,\n\"b\":2}}]}": `line 2, column 1, at ["é"][1]["x y"]: the key "b" is there twice`,
	} {
		err := jsonvalue.CheckUnique([]byte(raw))
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: got %v, want %q", raw, err, want)
		}
	}
}

// TestNumbersKeepTheirDigits checks that what is decoded and encoded again has the same numbers and characters.
func TestNumbersKeepTheirDigits(t *testing.T) {
	const doc = `{"a":[9007199254740993,1.10,-0,1e400],"b":"<&>"}`
	v, err := jsonvalue.Decode([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := jsonvalue.Encode(v); err != nil || string(got) != doc {
		t.Errorf("got %s (%v), want %s", got, err, doc)
	}
}
