package audit

import (
	"fmt"

	"github.com/sluiceworks/sluice/modules/seal"
)

// checkSeal sees that the history is the one that was sealed. The seal of an execution that was retried since is covered by its
// next one; that of one whose events retention has taken can only be kept.
func (x *pipeline) checkSeal(now func(invariant, found, expected string)) {
	switch {
	case x.sealed.bad || x.version.bad:
	case !x.sealed.set || x.sealed.v > x.version.v:
		now(Seal, fmt.Sprintf("a seal of version %s, and the row has version %s", x.sealed, x.version), "a seal of an end that has been")
	case x.digest != nil && !x.status.terminal():
		now(Seal, fmt.Sprintf("a seal of version %s, at which it is %s", x.sealed, orNull(string(x.status))), "a seal is of an end")
	case x.digest != nil:
		got := x.digest.Seal(seal.Header{
			PipelineExecutionID: x.id, PipelineName: x.name, DefinitionVersion: x.definition, Version: x.version.v, Former: x.formerSeal,
		})
		if got != x.seal {
			now(Seal, "the seal "+short(x.seal), got+", as its events give it")
		}
	}
}
