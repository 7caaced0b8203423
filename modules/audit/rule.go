package audit

import "github.com/sluiceworks/sluice/modules/tasks"

// These are the results of a trigger rule, which this package evaluates independently of the engine: wait, run, or
// the reason to skip the task.
const (
	waits     = "wait"
	runs      = "run"
	byRule    = "trigger_rule"
	byFailure = "upstream_failed"
)

// count adds a dependency. Cancelled and Abandoned count as failures, and so does a skip caused by an upstream
// failure.
func (n *needs) count(status tasks.Status, skipReason string) {
	switch status {
	case tasks.Completed:
		n.good++
	case tasks.Failed, tasks.Abandoned, tasks.Cancelled:
		n.bad++
	case tasks.Skipped:
		if skipReason == byFailure {
			n.bad++
		} else {
			n.skipped++
		}
	default:
		n.open++
	}
}

// rules holds, for each trigger rule, whether it is met, and why a task is skipped whose rule is not met.
var rules = map[string]struct {
	holds   func(n *needs) bool
	early   bool // one dependency may decide that it is met
	failure bool // if it is not met and a dependency failed, the reason is upstream_failed
}{
	"all_success":                 {func(n *needs) bool { return n.bad+n.skipped == 0 }, false, true},
	"all_failed":                  {func(n *needs) bool { return n.bad > 0 && n.good+n.skipped == 0 }, false, false},
	"all_done":                    {func(*needs) bool { return true }, false, false},
	"all_skipped":                 {func(n *needs) bool { return n.skipped > 0 && n.good+n.bad == 0 }, false, false},
	"one_success":                 {func(n *needs) bool { return n.good > 0 }, true, true},
	"one_failed":                  {func(n *needs) bool { return n.bad > 0 }, true, false},
	"one_done":                    {func(n *needs) bool { return n.good+n.bad > 0 }, true, false},
	"none_failed":                 {func(n *needs) bool { return n.bad == 0 }, false, true},
	"none_failed_min_one_success": {func(n *needs) bool { return n.bad == 0 && n.good > 0 }, false, true},
	"none_skipped":                {func(n *needs) bool { return n.skipped == 0 }, false, false},
	"always":                      {func(*needs) bool { return true }, false, false},
}

// ruleSays evaluates a trigger rule. An unknown rule is never met.
func ruleSays(rule string, n *needs) string {
	r, known := rules[rule]
	holds := known && r.holds(n)
	switch {
	case n.open > 0 && !(r.early && holds):
		return waits
	case holds:
		return runs
	case r.failure && n.bad > 0:
		return byFailure
	}
	return byRule
}
