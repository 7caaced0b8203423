// Package audit proves the promise: it reads a database as it lies there and checks the invariants I1 to I7 over every
// pipeline, task, event and outbox row. It shares no code with what writes them, except the transition table and the names of
// events and statuses; it never writes, blocks no writer, and trusts no value that it reads.
package audit

import (
	"errors"

	"github.com/sluiceworks/sluice/platform/db"
)

// ErrNotFound is an id that no pipeline execution has.
var ErrNotFound = errors.New("no such pipeline execution")

// Auditor checks one database, tenant by tenant. It is safe for concurrent use.
type Auditor struct {
	db *db.DB

	// A page ends at the first of these bounds. One pipeline is always read whole, however many tasks it has.
	pagePipelines, pageTasks int
	workers                  int // that read pages side by side
}

// New makes an auditor of a database.
func New(d *db.DB) *Auditor {
	return &Auditor{db: d, pagePipelines: 1000, pageTasks: 20_000, workers: 2}
}

// Options narrows a verification.
type Options struct {
	IDs         []db.ID      // only these pipeline executions; none: all, and what belongs to none
	Since       db.Time      // only executions that have not ended, or were created or ended at this instant or later; zero: all
	MaxBreaches int          // stop after so many breaches; 0: find all
	From        State        // go on after what an earlier verification has done; not with IDs
	Progress    func(Report) // called after each page with the counts so far, if set; it must not keep the breaches
	Keep        func(State)  // called after each page with what is needed to go on from there, if set
}

// State is how far a verification has come: all executions up to an id, and what was found in them.
type State struct {
	After  db.ID  `json:"after"` // zero: none yet
	Report Report `json:"report"`
}
