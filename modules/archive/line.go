// Package archive exports executions, with all their rows, to a file and imports such a file into a database. Apart
// from the transitions, only this package writes statuses, events and outbox rows: it copies what transitions have
// written elsewhere, never changes existing rows, and has the copy verified before it commits. docs/export.md
// describes the file.
package archive

import (
	"errors"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// FormatVersion is the version of the file format that this binary writes and reads.
const FormatVersion = 2

// Errors of Import.
var (
	ErrFormat    = errors.New("not an export of sluice")
	ErrTruncated = errors.New("the export is cut off or damaged")
	ErrOpen      = errors.New("the export holds executions that have not ended")
	ErrExists    = errors.New("is in this database already")

	ErrContent = errors.New("the export holds what no export writes")
)

// header is the first line of a file.
type header struct {
	Format int `json:"sluice_export"`
}

// Counts is the number of lines of each kind in a file.
type Counts struct {
	Definitions int64 `json:"definitions"`
	Executions  int64 `json:"executions"`
	Tasks       int64 `json:"tasks"`
	Events      int64 `json:"events"`
	Outbox      int64 `json:"outbox"`
	Logs        int64 `json:"logs"` // chunks of tasks' output
}

// trailer is the last line of a file. A file without it, or whose lines do not match it, is incomplete or damaged.
type trailer struct {
	Counts

	Open        int64  `json:"open_executions"`
	SequenceNum int64  `json:"highest_sequence_num"`
	SHA256      string `json:"sha256"` // of all bytes before this line, in hex
}

// line is any line after the header. Exactly one field is set.
type line struct {
	Definition *engine.StoredDefinition `json:"definition,omitempty"`
	Execution  *pipelines.Execution     `json:"execution,omitempty"`
	Task       *tasks.Task              `json:"task,omitempty"`
	Event      *events.Event            `json:"event,omitempty"`
	Outbox     *queued                  `json:"outbox,omitempty"`
	Log        *tasks.Chunk             `json:"log,omitempty"`

	Trailer *trailer `json:"trailer,omitempty"`
}

// queued is an outbox row without its number, which each database assigns itself.
type queued struct {
	TaskExecutionID dbtype.ID   `json:"task_execution_id"`
	Handler         string      `json:"handler"`
	Queue           string      `json:"queue"`
	Lane            int         `json:"lane"`
	AvailableAt     dbtype.Time `json:"available_at"`
	CreatedAt       dbtype.Time `json:"created_at"`
}

// count adds a line to the counts.
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
