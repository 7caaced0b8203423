package definition_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

// resolveURL evaluates text as the url of a task with the handler uses. The input field v has the value v.
func resolveURL(t *testing.T, uses, text, v string) (string, error) {
	t.Helper()
	with, err := json.Marshal(map[string]any{"url": text, "body": text})
	if err != nil {
		t.Fatal(err)
	}
	d := definition.Definition{
		Name: "p", Input: []definition.InputField{{Name: "v", Type: "string"}, {Name: "n"}},
		Tasks: []definition.Task{{ID: "last", Uses: uses, With: with}},
	}
	if err := d.Check(nil); err != nil {
		t.Fatal(err)
	}
	input, err := json.Marshal(map[string]any{"v": v, "n": 1.5})
	if err != nil {
		t.Fatal(err)
	}
	got, err := task(t, &d, "last").Resolve(t.Context(), values(string(input), nil))
	if err != nil {
		return "", err
	}
	var out struct{ URL, Body string }
	if err := json.Unmarshal(got.With, &out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "{{ input.v }}") && !strings.Contains(out.Body, v) {
		t.Errorf("the body %q of %q has been encoded", out.Body, text)
	}
	return out.URL, nil
}

// TestURLSettings checks which settings are URLs: url of http and of wait. A value stays in its position there.
func TestURLSettings(t *testing.T) {
	const text = "https://h/s?q=${{ input.v }}&n=${{ input.n }}"
	for uses, want := range map[string]string{
		"http": "https://h/s?q=a%20%26b&n=1.5", "wait": "https://h/s?q=a%20%26b&n=1.5",
		"other": "https://h/s?q=a &b&n=1.5",
	} {
		if got, err := resolveURL(t, uses, text, "a &b"); err != nil || got != want {
			t.Errorf("%s: %s (%v), want %s", uses, got, err, want)
		}
	}
}
