package audit

import "github.com/sluiceworks/sluice/modules/tasks"

// ruleHolds evaluates a trigger rule over how the dependencies ended, apart from the engine's own evaluation. Failed and
// Abandoned are failures; Skipped and Cancelled are neither failure nor success.
func ruleHolds(rule string, ends []tasks.Status) bool {
	var failures, successes, cancels int
	for _, s := range ends {
		switch s {
		case tasks.Completed:
			successes++
		case tasks.Failed, tasks.Abandoned:
			failures++
		case tasks.Cancelled:
			cancels++
		}
	}
	switch rule {
	case "all_success":
		return successes == len(ends)
	case "all_failed":
		return len(ends) > 0 && failures == len(ends)
	case "one_success":
		return successes > 0
	case "one_failed":
		return failures > 0
	case "none_failed":
		return failures == 0 && cancels == 0
	case "all_done", "always":
		return true
	}
	return false
}

// asksForFailure reports whether a task with this rule, once completed, makes up for the failure of a direct dependency.
func asksForFailure(rule string) bool { return rule == "one_failed" || rule == "all_failed" }
