package audit

import "github.com/sluiceworks/sluice/modules/tasks"

// What a trigger rule says of a task, apart from the engine's own evaluation: wait, run, or the reason to skip it.
const (
	waits     = "wait"
	runs      = "run"
	byRule    = "trigger_rule"
	byFailure = "upstream_failed"
)

// count enters a dependency. Cancelled and Abandoned are failures, and so is a skip because of a failure above.
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

// rules says for each trigger rule, once every dependency has ended, whether it holds; and what stops a task whose rule does not
// hold although a dependency failed.
var rules = map[string]struct {
	holds   func(n *needs) bool
	early   bool // one dependency may decide that it holds
	failure bool // a failure is why it does not hold, if there is one
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

// ruleSays evaluates a trigger rule; one that is unknown never holds.
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
