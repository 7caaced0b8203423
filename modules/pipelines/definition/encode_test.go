package definition_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

var exported = cmpopts.IgnoreUnexported(definition.Definition{}, definition.Task{})

func TestEncodeIsStable(t *testing.T) {
	src, err := os.ReadFile("testdata/ok.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := parse(t, string(src))
	doc, version, err := d.Encode()
	if err != nil || !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(version) || !json.Valid(doc) {
		t.Fatalf("%s %q %v", doc, version, err)
	}
	same := parse(t, "# a comment\n"+strings.ReplaceAll(string(src), "timeout: 1d12h", "timeout: 36h"))
	if _, v, err := same.Encode(); err != nil || v != version {
		t.Errorf("the same settings have the versions %s and %s (%v)", version, v, err)
	}
	other := parse(t, strings.ReplaceAll(string(src), "timeout: 1d12h", "timeout: 37h"))
	if _, v, err := other.Encode(); err != nil || v == version {
		t.Errorf("other settings have the version %s, too (%v)", v, err)
	}
}

func TestEncodeRefusesTheUnchecked(t *testing.T) {
	if _, _, err := (&definition.Definition{Name: "p"}).Encode(); err == nil {
		t.Error("an unchecked definition was encoded")
	}
}

func TestDecodeNeedsNoHandler(t *testing.T) {
	doc := `{"name":"p","tasks":[{"id":"a","uses":"gone","trigger_rule":"all_success","timeout":1,"retry":{}},
		{"id":"b","needs":["a"],"uses":"gone","with":{"x":"${{ needs.a.x }}"},"if":"needs.a.x > 1",
			"trigger_rule":"all_success","timeout":1,"retry":{}}]}`
	d, err := definition.Decode([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	v := values("", map[string]string{"a": `{"x":2}`})
	got, err := task(t, d, "b").Resolve(t.Context(), v)
	if err != nil || string(got.With) != `{"x":2}` {
		t.Errorf("%s %v", got.With, err)
	}
	if ok, err := task(t, d, "b").Condition(v); err != nil || !ok {
		t.Errorf("%v %v", ok, err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, d.Order()); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeRefusesWhatItCannotRun(t *testing.T) {
	for doc, want := range map[string]string{
		`{`:                                    "unexpected EOF",
		`{"name":"p","new":1}`:                 `unknown field "new"`,
		`{"tasks":[{"id":"a","needs":["b"]}]}`: `unknown task "b" in needs`,
		`{"tasks":[{"id":"a","needs":["b"]},{"id":"b","needs":["a"]}]}`:  `cycle: a → b → a`,
		`{"tasks":[{"id":"a","run":"${{ input.x + }}"}]}`:                `unexpected token`,
		`{"tasks":[{"id":"a","uses":"x","with":{"x":"${{ nobody }}"}}]}`: `unknown name "nobody"`,
	} {
		if _, err := definition.Decode([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.HasPrefix(err.Error(), "decode pinned definition: ") {
			t.Errorf("%s: got %v, want %q", doc, err, want)
		}
	}
}

func TestEncodeDecodeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := graph(t)
		for i := range d.Tasks {
			task := &d.Tasks[i]
			task.TriggerRule = rapid.SampledFrom([]definition.TriggerRule{
				"", definition.AllDone, definition.NoneFailed,
				definition.Always,
			}).Draw(t, "rule")
			task.Retry.MaxAttempts = rapid.IntRange(0, 10).Draw(t, "attempts")
			task.Retry.Jitter = rapid.Float64Range(0, 1).Draw(t, "jitter")
			if rapid.Bool().Draw(t, "uses") {
				with := map[string]any{rapid.String().Draw(t, "key"): rapid.Int64().
					Draw(t, "number"), "text": rapid.StringMatching(`[a-z<>&"\\ ]*`).Draw(t, "text")}
				raw, err := json.Marshal(with)
				if err != nil {
					t.Fatal(err)
				}
				if jsonvalue.Check(raw, 1<<20) == nil {
					task.Run, task.Uses, task.With = "", "echo", raw
				}
			}
		}
		if err := d.Check(nil); err != nil {
			t.Fatal(err)
		}
		doc, version, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := definition.Decode(doc)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, back, exported); diff != "" {
			t.Fatal(diff)
		}
		again, same, err := back.Encode()
		if err != nil || same != version || string(again) != string(doc) {
			t.Fatalf("%s\n%s\n%s %s %v", doc, again, version, same, err)
		}
		if diff := cmp.Diff(d.Order(), back.Order()); diff != "" {
			t.Fatal(diff)
		}
	})
}
