// Package audit verifies a database: it checks the invariants I1 to I7 over every pipeline, task, event and outbox
// row. With the code that writes them it shares only the transition table, the formats of seals and definitions, and
// the names of events and statuses. It never writes, blocks no writer, and trusts no value that it reads.
package audit

import (
	"errors"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ErrNotFound means that no pipeline execution has the given id.
var ErrNotFound = errors.New("no such pipeline execution")

// Auditor checks one database, tenant by tenant. It is safe for concurrent use.
type Auditor struct {
	db *db.DB

	// A page ends at the first of these bounds. A pipeline is always read as a whole, however many tasks it has.
	pagePipelines, pageTasks int
	workers                  int // how many read pages concurrently
}

// New returns an auditor for a database.
func New(d *db.DB) *Auditor {
	return &Auditor{db: d, pagePipelines: 1000, pageTasks: 20_000, workers: 2}
}

// Options configure a verification.
type Options struct {
	IDs []dbtype.ID // only these pipeline executions; none: all, and rows that belong to none
	// Since selects executions that have not ended, or were created or ended at this time or later; zero: all.
	Since         dbtype.Time
	MaxViolations int          // stop after this many breaches; 0: find all
	From          State        // continue an earlier verification; not with IDs
	Progress      func(Report) // called after each page with the counts so far, if set; it must not keep the breaches
	SaveState     func(State)  // called after each page with the state from which to continue, if set
}

// State is the progress of a verification: all executions up to an id, and what was found in them.
type State struct {
	After  dbtype.ID `json:"after"` // zero: none yet
	Report Report    `json:"report"`
}
