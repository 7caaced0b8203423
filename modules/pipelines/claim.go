package pipelines

import (
	"encoding/json"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Claim is a task that a worker holds. It is marked as started, so its handler may run.
type Claim struct {
	Task       tasks.Task // its Version is the fence: every write of the worker checks it
	Pipeline   string
	RunAttempt int           // see Execution.Attempt
	Resumed    bool          // the attempt continues after a deferral
	Waited     time.Duration // time from due to claimed; 0 for an eager claim
	Definition *definition.Task
	Input      json.RawMessage
	Needs      map[string]json.RawMessage // outputs of the dependencies that the task may read
	Past       map[string]expr.Past       // results of the dependencies that the task's expressions read
	// the outputs that the task reads exceed tasks.MaxNeeds together: Needs is nil and the task cannot run
	Excess error
	Graph  *definition.Definition // the complete definition; nil if unknown
}

// RunTimeout returns the timeout of the task's pipeline; 0 if it has none or is unknown.
func (c *Claim) RunTimeout() time.Duration {
	if c.Graph == nil {
		return 0
	}
	return c.Graph.Timeout
}

// Values returns the context in which the expressions of the claimed task are evaluated.
func (c *Claim) Values() *expr.Values {
	return &expr.Values{
		Input: c.Input, Needs: c.Needs, Past: c.Past, Run: runOf(c.Task.PipelineExecutionID, c.Pipeline, c.RunAttempt),
	}
}

func runOf(id dbtype.ID, pipeline string, attempt int) expr.Run {
	return expr.Run{ID: id.String(), Pipeline: pipeline, Attempt: attempt}
}

// PastOf returns what expressions can read of an ended task.
func PastOf(t tasks.Task) expr.Past {
	return expr.Past{
		Status: string(t.Status), Error: string(t.Error), ErrorKind: string(t.ErrorKind),
		Attempts: t.Attempt,
	}
}
