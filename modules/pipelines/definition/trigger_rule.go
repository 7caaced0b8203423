package definition

import "github.com/sluiceworks/sluice/modules/tasks"

// TriggerRule decides, from how a task's dependencies ended, whether the task runs. The rules have the names and the
// meaning that they have in Airflow (docs/trigger-rules.md). OneSuccess, OneFailed and OneDone are decided by the first
// dependency that satisfies them. The other rules are decided when all dependencies are terminal. If the rule does not
// hold, the task is skipped.
type TriggerRule string

// The trigger rules. Ended.Add defines what counts as succeeded, failed and skipped.
const (
	AllSuccess              TriggerRule = "all_success"                 // every dependency succeeded; the default
	AllFailed               TriggerRule = "all_failed"                  // every dependency failed
	AllDone                 TriggerRule = "all_done"                    // every dependency ended, in whatever way
	AllSkipped              TriggerRule = "all_skipped"                 // every dependency was skipped
	OneSuccess              TriggerRule = "one_success"                 // at least one succeeded
	OneFailed               TriggerRule = "one_failed"                  // at least one failed
	OneDone                 TriggerRule = "one_done"                    // at least one succeeded or failed
	NoneFailed              TriggerRule = "none_failed"                 // none failed
	NoneFailedMinOneSuccess TriggerRule = "none_failed_min_one_success" // none failed, and at least one succeeded
	NoneSkipped             TriggerRule = "none_skipped"                // none was skipped
	Always                  TriggerRule = "always"                      // same as AllDone
)

// Rules returns every trigger rule.
func Rules() []TriggerRule {
	return []TriggerRule{
		AllSuccess, AllFailed, AllDone, AllSkipped, OneSuccess, OneFailed, OneDone, NoneFailed, NoneFailedMinOneSuccess,
		NoneSkipped, Always,
	}
}

// Ended counts dependencies by how they ended, in the categories of trigger rules.
type Ended struct {
	Succeeded, Failed, Skipped int
	Open                       int // not yet terminal
}

// Add counts a dependency. Completed is a success. Failed, Abandoned and Cancelled are failures, and so is a task
// that was skipped because of an upstream failure. A task that was skipped for another reason counts as skipped.
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

// Verdict is the decision of a trigger rule: Undecided while it depends on open dependencies, Runs, or the reason why
// the task is skipped.
type Verdict int

// The verdicts.
const (
	Undecided Verdict = iota
	Runs
	SkippedByRule         // the rule does not hold
	SkippedUpstreamFailed // the rule does not hold because of an upstream failure
)

// Early reports whether one dependency can decide the rule before the others have ended.
func (r TriggerRule) Early() bool { return r == OneSuccess || r == OneFailed || r == OneDone }

// Decide returns the verdict of the rule. An unknown rule never holds, but Check refuses those.
func (r TriggerRule) Decide(e Ended) Verdict {
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

func (r TriggerRule) holds(e Ended) bool {
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

// stoppedByFailure reports whether the rule requires success, so that a failure is the reason why it does not hold.
func (r TriggerRule) stoppedByFailure() bool {
	return r == AllSuccess || r == OneSuccess || r == NoneFailed || r == NoneFailedMinOneSuccess
}

// needsDependencies reports whether the rule can never hold for a task without dependencies.
func (r TriggerRule) needsDependencies() bool {
	return r == AllFailed || r == AllSkipped || r == OneSuccess || r == OneFailed || r == OneDone ||
		r == NoneFailedMinOneSuccess
}
