// Package definition represents pipelines before they run: their tasks, the order of the tasks, and all checks of
// what an author writes. It reads no database and starts nothing. The engine in modules/pipelines runs definitions.
package definition

import (
	"encoding/json"
	"regexp"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// Definition is one version of a pipeline. Create it from YAML with Parse, build it in Go and call Check, or read a
// pinned one with Decode.
type Definition struct {
	Name  string       `json:"name"`
	Input []InputField `json:"input,omitempty"` // in the order of declaration
	Tasks []Task       `json:"tasks"`           // in the order of declaration

	Description string            `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Retention   *Retention        `json:"retention,omitempty"` // nil for the settings of `sluice serve`
	Timeout     time.Duration     `json:"timeout,omitempty"`   // of a run from start or retry, in ns; 0: none

	index      map[string]int // index in Tasks by task id
	dependents [][]string     // by index: the tasks whose needs name it, in the order of declaration
	order      []int          // indexes in topological order
	rank       []int          // by index: the position in order
	warnings   Diagnostics
}

// Warnings returns what is allowed in the text but probably unintended, as found by Parse, at most a hundred. A
// Definition that was not created by Parse has none.
func (d *Definition) Warnings() Diagnostics { return d.warnings }

// InputField is one declared field of a run's input.
type InputField struct {
	Name        string          `json:"name"`
	Type        string          `json:"type"` // string, integer, number, boolean, object, array or any
	Required    bool            `json:"required,omitempty"`
	Default     json.RawMessage `json:"default,omitempty"`
	Description string          `json:"description,omitempty"`

	Choices []json.RawMessage `json:"choices,omitempty"` // the only values allowed: texts, numbers, true and false
	Min     json.Number       `json:"min,omitempty"`     // the smallest number allowed
	Max     json.Number       `json:"max,omitempty"`     // the largest number allowed
	Pattern string            `json:"pattern,omitempty"` // an RE2 regular expression that must match a part of the text

	pattern *regexp.Regexp // set by Check and Decode
}

// Task is one node of the graph. Exactly one of Uses and Run is set.
type Task struct {
	ID          string            `json:"id"`
	Needs       []string          `json:"needs,omitempty"`
	Description string            `json:"description,omitempty"`
	Uses        string            `json:"uses,omitempty"`
	With        json.RawMessage   `json:"with,omitempty"` // an object; its strings may contain ${{ }}
	Run         string            `json:"run,omitempty"`
	Command                       // for a task with Run
	Env         map[string]string `json:"env,omitempty"`
	If          string            `json:"if,omitempty"`
	TriggerRule TriggerRule       `json:"trigger_rule"`
	// ContinueOnError means that the task's failure does not make the run fail. The task's dependents still see it as
	// failed.
	ContinueOnError bool `json:"continue_on_error,omitempty"`

	Timeout  time.Duration     `json:"timeout"` // of one attempt; nanoseconds in JSON
	Retry    tasks.RetryPolicy `json:"retry"`
	Queue    string            `json:"queue"`    // selects the workers that may claim it
	Priority tasks.Priority    `json:"priority"` // among the tasks of its queue

	compiled *compiled // compiled expressions; set by Check and Decode
}

// Retention sets how long data is kept after the end of its execution, in nanoseconds in JSON; 0 means as `sluice
// serve` is configured. The newest registered definition applies to all executions of the pipeline, including those
// of earlier definitions.
type Retention struct {
	Events     time.Duration `json:"events,omitempty"`
	Outputs    time.Duration `json:"outputs,omitempty"`
	Logs       time.Duration `json:"logs,omitempty"`
	Executions time.Duration `json:"executions,omitempty"` // the whole execution
}

// ShellHandler is the handler that runs a task's Run text.
const ShellHandler = "shell"

// DefaultTimeout is the timeout of an attempt whose task sets none.
const DefaultTimeout = time.Hour

// Handler returns the name of the handler that runs the task.
func (t *Task) Handler() string {
	if t.Run != "" {
		return ShellHandler
	}
	return t.Uses
}

// HandlerSource is the set of handlers that a definition may use.
type HandlerSource interface {
	Handler(name string) (tasks.Handler, bool)
	Names() []string // sorted
}

// Task returns the task with an id.
func (d *Definition) Task(id string) (*Task, bool) {
	i, ok := d.index[id]
	if !ok {
		return nil, false
	}
	return &d.Tasks[i], true
}

// IndexOf returns a task's index in Tasks, or -1 if no task has this id.
func (d *Definition) IndexOf(id string) int {
	if i, ok := d.index[id]; ok {
		return i
	}
	return -1
}

// Dependents returns the ids of the tasks that need the given one, in the order of declaration.
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
