package definition_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

// TestInputConstraints checks that constraints of fields are checked when a run starts, also with a pinned
// definition.
func TestInputConstraints(t *testing.T) {
	d := parse(t, `name: p
input:
  size: {type: string, choices: [small, large]}
  level: {type: number, choices: [1, 2.50], description: "see the manual"}
  count: {type: integer, min: -3, max: 9007199254740993}
  day: {type: string, pattern: '^[0-9]{4}$'}
tasks: [{id: a, run: "true"}]`)
	doc, _, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := definition.Decode(doc)
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		`{"size":"small","level":2.5,"count":9007199254740993,"day":"2026"}`: "",
		`{}`:                          "",
		`{"size":null,"level":25e-1}`: "",
		`{"size":"medium"}`:           `input.size: it is "medium", and must be one of "small", "large"`,
		`{"level":3}`:                 `input.level: it is 3, and must be one of 1, 2.50 (see the manual)`,
		`{"count":-4}`:                `input.count: it is -4, and must be at least -3`,
		`{"count":9007199254740994}`:  `input.count: it is 9007199254740994, and must be at most 9007199254740993`,
		`{"day":"in 2026"}`:           `input.day: it is "in 2026", and must match the pattern ^[0-9]{4}$`,
		`{"size":7}`:                  `input.size: it is a number, and must be of type string (put it into quotes)`,
		`{"size":"a","day":"b"}`:      "input.size: it is \"a\"",
		`{"day":"` + strings.Repeat("x", 500) + `"}`: `x…, and must match`,
	} {
		for name, def := range map[string]*definition.Definition{"parsed": d, "pinned": pinned} {
			_, err := def.CheckInput(json.RawMessage(in))
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s, %s: got %v, want %q", name, in, err, want)
			}
		}
	}
}

func TestLabels(t *testing.T) {
	many := map[string]string{}
	for i := range 17 {
		many["l"+strings.Repeat("x", i)] = ""
	}
	for _, tt := range []struct {
		labels map[string]string
		want   string
	}{
		{map[string]string{"team": "data", "app.io/part": "é " + strings.Repeat("x", 254)}, ""},
		{nil, ""},
		{many, "labels: 17 labels are more than the limit of 16"},
		{map[string]string{strings.Repeat("x", 64): ""}, "invalid label name"},
		{
			map[string]string{"x": strings.Repeat("é", 257)},
			"labels.x: the label x has 257 characters, more than the limit of 256",
		},
		{map[string]string{"x": "a\tb"}, "control character"},
		{map[string]string{"": "a"}, "invalid label name"},
	} {
		err := definition.CheckLabels(tt.labels)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v: got %v, want %q", tt.labels, err, tt.want)
		}
	}
}
