package definition

import "github.com/sluiceworks/sluice/modules/tasks"

// Rule says when a task runs, given how its dependencies ended. The rules bear Airflow's names and have Airflow's meaning
// (docs/trigger-rules.md). OneSuccess, OneFailed and OneDone are decided by the first dependency that ends so; every other rule
// once all dependencies are terminal. Where a rule does not hold, the task is skipped.
type Rule string

// The trigger rules. Ended tells what counts as succeeded, failed and skipped.
const (
	AllSuccess              Rule = "all_success"                 // every dependency succeeded; the rule of a task that names none
	AllFailed               Rule = "all_failed"                  // every dependency failed
	AllDone                 Rule = "all_done"                    // every dependency ended, however
	AllSkipped              Rule = "all_skipped"                 // every dependency was skipped
	OneSuccess              Rule = "one_success"                 // at least one succeeded
	OneFailed               Rule = "one_failed"                  // at least one failed
	OneDone                 Rule = "one_done"                    // at least one succeeded or failed
	NoneFailed              Rule = "none_failed"                 // none failed
	NoneFailedMinOneSuccess Rule = "none_failed_min_one_success" // none failed, and at least one succeeded
	NoneSkipped             Rule = "none_skipped"                // none was skipped
	Always                  Rule = "always"                      // another name of AllDone
)

// Rules lists every trigger rule.
func Rules() []Rule {
	return []Rule{
		AllSuccess, AllFailed, AllDone, AllSkipped, OneSuccess, OneFailed, OneDone, NoneFailed, NoneFailedMinOneSuccess, NoneSkipped, Always,
	}
}

// Ended counts dependencies by how they ended, as trigger rules see it.
type Ended struct {
	Succeeded, Failed, Skipped int
	Open                       int // not terminal yet
}

// Add counts a dependency. Completed is a success. Failed, Abandoned and Cancelled are failures, and so is a task that was skipped
// because of a failure above it. A task that was skipped for another reason is skipped.
func (e *Ended) Add(status tasks.Status, reason tasks.SkipReason) {
	switch {
	case !status.Terminal():
		e.Open++
	case status == tasks.Completed:
		e.Succeeded++
	case status == tasks.Skipped && reason != tasks.SkipUpstreamFailed:
		e.Skipped++
	default:
		e.Failed++
	}
}

// Verdict is what a trigger rule says of a task: Undecided as long as it waits for dependencies, Runs, or why it is skipped.
type Verdict int

// The verdicts.
const (
	Undecided Verdict = iota
	Runs
	SkippedByRule         // the rule does not hold
	SkippedUpstreamFailed // the rule does not hold because of a failure above the task
)

// Early reports whether the first dependency that ends so decides the rule, before the others have ended.
func (r Rule) Early() bool { return r == OneSuccess || r == OneFailed || r == OneDone }

// Decide says what becomes of a task with this rule. An unknown rule never holds; Check lets none pass.
func (r Rule) Decide(e Ended) Verdict {
	switch {
	case e.Open > 0 && (!r.Early() || !r.holds(e)):
		return Undecided
	case r.holds(e):
		return Runs
	case e.Failed > 0 && r.stoppedByFailure():
		return SkippedUpstreamFailed
	}
	return SkippedByRule
}

func (r Rule) holds(e Ended) bool {
	switch r {
	case AllSuccess:
		return e.Failed == 0 && e.Skipped == 0
	case AllFailed:
		return e.Failed > 0 && e.Succeeded == 0 && e.Skipped == 0
	case AllSkipped:
		return e.Skipped > 0 && e.Succeeded == 0 && e.Failed == 0
	case OneSuccess:
		return e.Succeeded > 0
	case OneFailed:
		return e.Failed > 0
	case OneDone:
		return e.Succeeded > 0 || e.Failed > 0
	case NoneFailed:
		return e.Failed == 0
	case NoneFailedMinOneSuccess:
		return e.Failed == 0 && e.Succeeded > 0
	case NoneSkipped:
		return e.Skipped == 0
	case AllDone, Always:
		return true
	}
	return false
}

// stoppedByFailure reports whether the rule asks for success: then a failure is why it does not hold.
func (r Rule) stoppedByFailure() bool {
	return r == AllSuccess || r == OneSuccess || r == NoneFailed || r == NoneFailedMinOneSuccess
}

// needsDependencies reports whether the rule can never hold for a task that depends on nothing.
func (r Rule) needsDependencies() bool {
	return r == AllFailed || r == AllSkipped || r == OneSuccess || r == OneFailed || r == OneDone || r == NoneFailedMinOneSuccess
}
