package definition_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

// TestRetention checks that the block is parsed, is part of the version, and has its mistakes reported.
func TestRetention(t *testing.T) {
	t.Parallel()
	const task = "\ntasks:\n  - {id: a, uses: echo}\n"
	d := parse(t, "name: p\nretention: {events: 90d, outputs: 1w, logs: 12h, executions: 365d}"+task)
	day := 24 * time.Hour
	want := definition.Retention{Events: 90 * day, Outputs: 7 * day, Logs: day / 2, Executions: 365 * day}
	if *d.Retention != want {
		t.Errorf("read %+v, want %+v", *d.Retention, want)
	}
	if parse(t, "name: p"+task).Retention != nil {
		t.Error("without a block there is one")
	}
	doc, _, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := definition.Decode(doc); err != nil || *back.Retention != want {
		t.Errorf("stored and read again: %+v, %v", back, err)
	}
	for block, words := range map[string]string{
		"{event: 90d}": `p.yaml:2:13: unknown key "event" in retention`, "{events: soon}": "p.yaml:2:21: events:",
		"{logs: 0}": "logs must be more than 0",
		"90d":       "retention must be a mapping",
	} {
		_, err := definition.Parse("p.yaml", []byte("name: p\nretention: "+block+task), catalog(t))
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %s", block, err, words)
		}
	}
	bad := &definition.Definition{
		Name: "p", Retention: &definition.Retention{Logs: -1},
		Tasks: []definition.Task{{ID: "a", Uses: "echo"}},
	}
	if err := bad.Check(catalog(t)); err == nil || !strings.Contains(err.Error(), "retention of logs is negative") {
		t.Errorf("a negative age: %v", err)
	}
}
