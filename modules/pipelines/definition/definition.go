// Package definition is what a pipeline is before it runs: its tasks, their order, and every check of what an author wrote.
// It is pure: it reads no database and starts nothing. What runs a definition is the engine in modules/pipelines.
package definition

import (
	"encoding/json"
	"regexp"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// Definition is one version of a pipeline. Make it by Parse from YAML, or in Go and then call Check; Decode reads a pinned one.
type Definition struct {
	Name  string       `json:"name"`
	Input []InputField `json:"input,omitempty"` // in the order of declaration
	Tasks []Task       `json:"tasks"`           // in the order of declaration

	Description string            `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Retention   *Retention        `json:"retention,omitempty"` // nil: the settings of `sluice serve`
	Timeout     time.Duration     `json:"timeout,omitempty"`   // of a run, from its start or its retry to its end; nanoseconds in JSON; 0: none

	index      map[string]int // task id to its place in Tasks
	dependents [][]string     // by place: the tasks that name it in their needs, in the order of declaration
	order      []int          // places in topological order
	rank       []int          // by place: where in order it stands
	warnings   Problems
}

// Warnings are what Parse has found in the text that is allowed and probably not meant, at most a hundred. Definitions that
// were not made by Parse have none.
func (d *Definition) Warnings() Problems { return d.warnings }

// InputField is one declared field of a run's input.
type InputField struct {
	Name        string          `json:"name"`
	Type        string          `json:"type"` // string, integer, number, boolean, object, array or any
	Required    bool            `json:"required,omitempty"`
	Default     json.RawMessage `json:"default,omitempty"`
	Description string          `json:"description,omitempty"`

	Choices []json.RawMessage `json:"choices,omitempty"` // the only values allowed: texts, numbers, true and false
	Min     json.Number       `json:"min,omitempty"`     // the least number allowed
	Max     json.Number       `json:"max,omitempty"`     // the greatest number allowed
	Pattern string            `json:"pattern,omitempty"` // a regular expression (RE2) that matches somewhere in each text allowed

	pattern *regexp.Regexp // made by Check and Decode
}

// Task is one node of the graph. Exactly one of Uses and Run is set.
type Task struct {
	ID          string            `json:"id"`
	Needs       []string          `json:"needs,omitempty"`
	Description string            `json:"description,omitempty"`
	Uses        string            `json:"uses,omitempty"`
	With        json.RawMessage   `json:"with,omitempty"` // an object; strings in it may hold ${{ }}
	Run         string            `json:"run,omitempty"`
	Command                       // of a task with Run
	Env         map[string]string `json:"env,omitempty"`
	If          string            `json:"if,omitempty"`
	TriggerRule Rule              `json:"trigger_rule"`
	// ContinueOnError: the task's failure does not make the run fail. Its dependents see the failure all the same.
	ContinueOnError bool `json:"continue_on_error,omitempty"`

	Timeout  time.Duration     `json:"timeout"` // of one attempt, nanoseconds in JSON
	Retry    tasks.RetryPolicy `json:"retry"`
	Queue    string            `json:"queue"`    // which workers may take it
	Priority tasks.Priority    `json:"priority"` // among the tasks of its queue

	compiled *compiled // expressions, ready to evaluate; made by Check and Decode
}

// Retention says how long after an execution's end its data is kept; 0: as the settings of `sluice serve` say. The newest registered
// definition decides, also over executions of former ones. Nanoseconds in JSON.
type Retention struct {
	Events     time.Duration `json:"events,omitempty"`
	Outputs    time.Duration `json:"outputs,omitempty"`
	Logs       time.Duration `json:"logs,omitempty"`
	Executions time.Duration `json:"executions,omitempty"` // all of it
}

// ShellHandler is the handler that runs a task's Run text.
const ShellHandler = "shell"

// DefaultTimeout ends an attempt whose task names no timeout.
const DefaultTimeout = time.Hour

// Handler is the name of the handler that runs the task.
func (t *Task) Handler() string {
	if t.Run != "" {
		return ShellHandler
	}
	return t.Uses
}

// Catalog is what a definition may use: the handlers of this process.
type Catalog interface {
	Handler(name string) (tasks.Handler, bool)
	Names() []string // sorted
}

// Task finds a task by its id.
func (d *Definition) Task(id string) (*Task, bool) {
	i, ok := d.index[id]
	if !ok {
		return nil, false
	}
	return &d.Tasks[i], true
}

// Place is a task's place in Tasks; -1 if there is none with this id.
func (d *Definition) Place(id string) int {
	if i, ok := d.index[id]; ok {
		return i
	}
	return -1
}

// Dependents lists the tasks that need the given one, in the order of declaration.
func (d *Definition) Dependents(id string) []string {
	if i, ok := d.index[id]; ok {
		return d.dependents[i]
	}
	return nil
}

// HasConditions reports whether any task has an `if`.
func (d *Definition) HasConditions() bool {
	for i := range d.Tasks {
		if d.Tasks[i].If != "" {
			return true
		}
	}
	return false
}
