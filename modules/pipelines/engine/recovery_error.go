package engine

import (
	"fmt"
	"strings"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// RecoveryError is the failed recovery of one execution. It does not prevent the recovery of others.
type RecoveryError struct {
	PipelineExecutionID dbtype.ID
	Attempts            int  // number of failed attempts; includes this one, unless the database caused it
	Abandoned           bool // the execution was abandoned
	Err                 error
}

func (e *RecoveryError) Error() string {
	what := "recovery of pipeline execution %s failed %d times: %v"
	if e.Abandoned {
		what = "pipeline execution %s was abandoned after its recovery failed %d times: %v"
	}
	return fmt.Sprintf(what, e.PipelineExecutionID, e.Attempts, e.Err)
}

func (e *RecoveryError) Unwrap() error { return e.Err }

// RecoveryErrors holds the failed recoveries of one call of Recover or RecoverLost.
type RecoveryErrors []*RecoveryError

func (e RecoveryErrors) Error() string {
	list := make([]string, len(e))
	for i := range e {
		list[i] = e[i].Error()
	}
	return strings.Join(list, "; ")
}
