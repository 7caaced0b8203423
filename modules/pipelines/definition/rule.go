package definition

import (
	"slices"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// Rule says when a task runs, given how its dependencies ended. It is evaluated once all of them are terminal; where it is
// false the task is skipped.
type Rule string

// The trigger rules. Success is Completed alone; failure is Failed or Abandoned. A skipped or cancelled task is neither.
const (
	AllSuccess Rule = "all_success" // every dependency completed; the rule of a task that names none
	AllDone    Rule = "all_done"    // every dependency ended, however
	AllFailed  Rule = "all_failed"  // every dependency failed
	OneSuccess Rule = "one_success" // at least one completed
	OneFailed  Rule = "one_failed"  // at least one failed
	NoneFailed Rule = "none_failed" // none failed and none was cancelled; skipped ones are fine
	Always     Rule = "always"      // whatever happened
)

// Rules lists every trigger rule.
func Rules() []Rule {
	return []Rule{AllSuccess, AllDone, AllFailed, OneSuccess, OneFailed, NoneFailed, Always}
}

// Holds reports whether a task with this rule runs after dependencies that ended as given. An unknown rule never holds;
// Check lets none pass.
func (r Rule) Holds(dependencies []tasks.Status) bool {
	switch r {
	case AllSuccess:
		return !slices.ContainsFunc(dependencies, func(s tasks.Status) bool { return s != tasks.Completed })
	case AllFailed:
		return len(dependencies) > 0 && !slices.ContainsFunc(dependencies, func(s tasks.Status) bool { return !failed(s) })
	case OneSuccess:
		return slices.Contains(dependencies, tasks.Completed)
	case OneFailed:
		return slices.ContainsFunc(dependencies, failed)
	case NoneFailed:
		return !slices.ContainsFunc(dependencies, func(s tasks.Status) bool { return failed(s) || s == tasks.Cancelled })
	case AllDone, Always:
		return true
	}
	return false
}

// HandlesFailure reports whether a task with this rule asks for failure: its completion makes up for a direct dependency's.
func (r Rule) HandlesFailure() bool { return r == OneFailed || r == AllFailed }

// needsDependencies reports whether the rule can never hold for a task that depends on nothing.
func (r Rule) needsDependencies() bool { return r == AllFailed || r == OneSuccess || r == OneFailed }

func failed(s tasks.Status) bool { return s == tasks.Failed || s == tasks.Abandoned }
