package pipelines

import (
	"fmt"
	"strings"

	"github.com/sluiceworks/sluice/platform/db"
)

// RecoveryError is a recovery that failed. It keeps no other execution from being recovered.
type RecoveryError struct {
	PipelineExecutionID db.ID
	Attempts            int  // that have failed, this one included
	Abandoned           bool // the execution was given up for it
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

// RecoveryErrors are those of one Recover.
type RecoveryErrors []*RecoveryError

func (e RecoveryErrors) Error() string {
	list := make([]string, len(e))
	for i := range e {
		list[i] = e[i].Error()
	}
	return strings.Join(list, "; ")
}
