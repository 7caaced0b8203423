package audit

import (
	"os"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// TestRuleSaysWhatTheReferenceSays compares the auditor's evaluation with every cell of docs/trigger-rules.md.
func TestRuleSaysWhatTheReferenceSays(t *testing.T) {
	doc, err := os.ReadFile("../../docs/trigger-rules.md")
	if err != nil {
		t.Fatal(err)
	}
	says := map[string]string{"**run**": runs, "skip": byRule, "fail": byFailure}
	enter := map[string]func(n *needs){
		"completed":       func(n *needs) { n.count(tasks.Completed, "") },
		"failed":          func(n *needs) { n.count(tasks.Failed, "") },
		"upstream_failed": func(n *needs) { n.count(tasks.Skipped, "upstream_failed") },
		"skipped":         func(n *needs) { n.count(tasks.Skipped, "condition") },
		"abandoned":       func(n *needs) { n.count(tasks.Abandoned, "") },
		"cancelled":       func(n *needs) { n.count(tasks.Cancelled, "") },
	}
	var names []string
	cells := 0
	for line := range strings.Lines(string(doc)) {
		fields := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range fields {
			fields[i] = strings.Trim(strings.TrimSpace(fields[i]), "`")
		}
		switch {
		case fields[0] == "dependencies":
			names = fields[1:]
			continue
		case names == nil || len(fields) != len(names)+1 || strings.HasPrefix(fields[0], "---"):
			continue
		}
		n := &needs{}
		for _, ending := range strings.Split(fields[0], ", ") {
			enter[ending](n)
		}
		for i, cell := range fields[1:] {
			cells++
			if got, want := ruleSays(names[i], n), says[cell]; got != want || want == "" {
				t.Errorf("%s after %s: %s, the reference says %s", names[i], fields[0], got, cell)
			}
		}
	}
	if want := 63 * len(rules); cells != want {
		t.Errorf("the reference has %d cells, want %d", cells, want)
	}
	for _, early := range []string{"one_success", "one_failed", "one_done"} {
		if got := ruleSays(early, &needs{good: 1, bad: 1, open: 1}); got != runs {
			t.Errorf("%s with one open: %s", early, got)
		}
	}
	if got := ruleSays("all_success", &needs{good: 1, open: 1}); got != waits {
		t.Errorf("all_success with one open: %s", got)
	}
}
