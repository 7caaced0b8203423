// Package archive writes executions with all that belongs to them into a file, and reads such a file into a database. It is the one
// place besides the transitions that writes statuses, events and outbox rows: it copies what transitions have written elsewhere,
// never changes what is there, and leaves it to `sluice verify` to prove the copy. docs/export.md describes the file.
package archive

import (
	"errors"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// Format is the version of the file that this binary writes and reads.
const Format = 1

// Errors that callers act on.
var (
	ErrFormat = errors.New("no export of sluice")
	ErrCut    = errors.New("the export is cut off or damaged")
	ErrOpen   = errors.New("the export holds executions that have not ended")
	ErrExists = errors.New("is in this database already")
)

// header is the first line.
type header struct {
	Format int `json:"sluice_export"`
}

// Counts is how many lines of each sort a file has.
type Counts struct {
	Definitions int64 `json:"definitions"`
	Executions  int64 `json:"executions"`
	Tasks       int64 `json:"tasks"`
	Events      int64 `json:"events"`
	Outbox      int64 `json:"outbox"`
	Logs        int64 `json:"logs"`
}

// trailer is the last line. Without it, or with others before it than it says, a file is not whole.
type trailer struct {
	Counts

	Open        int64  `json:"open_executions"`
	SequenceNum int64  `json:"highest_sequence_num"`
	SHA256      string `json:"sha256"` // of all bytes before this line, in hex
}

// line is one line between header and trailer; exactly one of its fields is set.
type line struct {
	Definition *pipelines.Registered `json:"definition,omitempty"`
	Execution  *pipelines.Execution  `json:"execution,omitempty"`
	Task       *tasks.Task           `json:"task,omitempty"`
	Event      *events.Event         `json:"event,omitempty"`
	Outbox     *queued               `json:"outbox,omitempty"`
	Log        *tasks.Log            `json:"log,omitempty"`

	Trailer *trailer `json:"trailer,omitempty"`
}

// queued is an outbox row, which has its number from each database anew.
type queued struct {
	TaskExecutionID db.ID   `json:"task_execution_id"`
	Handler         string  `json:"handler"`
	Queue           string  `json:"queue"`
	Lane            int     `json:"lane"`
	AvailableAt     db.Time `json:"available_at"`
	CreatedAt       db.Time `json:"created_at"`
}

// count counts a line.
func (c *Counts) count(l *line) {
	switch {
	case l.Definition != nil:
		c.Definitions++
	case l.Execution != nil:
		c.Executions++
	case l.Task != nil:
		c.Tasks++
	case l.Event != nil:
		c.Events++
	case l.Outbox != nil:
		c.Outbox++
	case l.Log != nil:
		c.Logs++
	}
}
