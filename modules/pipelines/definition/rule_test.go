package definition_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

func TestRuleHolds(t *testing.T) {
	const (
		c, f, s, a, x = tasks.Completed, tasks.Failed, tasks.Skipped, tasks.Abandoned, tasks.Cancelled
	)
	// The rules that hold after dependencies that ended so; no other does.
	tests := []struct {
		ended []tasks.Status
		holds string
	}{
		{nil, "all_success all_done none_failed always"},
		{[]tasks.Status{c}, "all_success all_done one_success none_failed always"},
		{[]tasks.Status{f}, "all_done all_failed one_failed always"},
		{[]tasks.Status{a}, "all_done all_failed one_failed always"},
		{[]tasks.Status{s}, "all_done none_failed always"},
		{[]tasks.Status{x}, "all_done always"},
		{[]tasks.Status{c, c}, "all_success all_done one_success none_failed always"},
		{[]tasks.Status{c, f}, "all_done one_success one_failed always"},
		{[]tasks.Status{c, s}, "all_done one_success none_failed always"},
		{[]tasks.Status{c, x}, "all_done one_success always"},
		{[]tasks.Status{f, a}, "all_done all_failed one_failed always"},
		{[]tasks.Status{f, s}, "all_done one_failed always"},
		{[]tasks.Status{s, s}, "all_done none_failed always"},
	}
	for _, test := range tests {
		for _, rule := range definition.Rules() {
			want := slices.Contains(strings.Fields(test.holds), string(rule))
			if got := rule.Holds(test.ended); got != want {
				t.Errorf("%s after %v: %v", rule, test.ended, got)
			}
		}
	}
	if definition.Rule("sometimes").Holds(nil) {
		t.Error("an unknown rule holds")
	}
}

func TestRuleHandlesFailure(t *testing.T) {
	for _, rule := range definition.Rules() {
		want := rule == definition.OneFailed || rule == definition.AllFailed
		if rule.HandlesFailure() != want {
			t.Errorf("%s: %v", rule, !want)
		}
	}
}
