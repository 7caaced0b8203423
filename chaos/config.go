package chaos

import (
	"context"
	"io"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Config says how large a run is. Every number is reached, or the run reports which one was not.
type Config struct {
	Workers int           // processes
	Slots   int           // tasks that a process runs concurrently
	Lease   time.Duration // of each process
	Open    int           // runs kept open at the same time
	Poison  int           // one in this many runs has a misbehaving handler; 0: none

	Transitions int            // at least this many, by the events in the history
	Refused     int            // late outcomes of zombies
	Strikes     map[string]int // how often each fault strikes, by name; a fault without a number does not

	Start []string                            // pipelines started once, at the beginning, by name
	Check func(context.Context, *db.DB) error // a further check at the end, if set

	Limit    time.Duration // the faults end after it, whatever is still missing
	Worker   string        // path of the worker's binary
	Skewed   string        // path of a binary whose clock is an hour off, for one of the processes; empty: none
	SameName bool          // two processes have the same host name and process id
	Dir      string        // for the files of the run
	Disk     string        // where the database's own small disk is mounted, for the fault FullDisk
	File     string        // SQLite's file, which may exist already; empty: a new one in Dir
	Before   string        // directory of earlier ledgers, for an existing file that may have lost its last commits
	Forgets  bool          // the server forgets commits that it has answered; only faults that cause this are used
	Brutal   bool          // at the end the processes are killed, and nothing is checked
	Progress io.Writer     // gets an occasional line
}

// pace is the average pause of each fault between two strikes. Together they let a worker live about as long as its
// startup and a few tasks take.
var pace = map[string]time.Duration{
	"kill": 900 * time.Millisecond, "graceful stop": 4 * time.Second, "zombie": 4 * time.Second,
	"immediate stop":     4500 * time.Millisecond,
	"backend terminated": 3 * time.Second, "link cut before COMMIT": 6 * time.Second,
	"link cut after COMMIT": 6 * time.Second,
	ReadOnly:                6 * time.Second, Exhausted: 4 * time.Second,
	FullDisk: 2 * time.Second, Crash: 4 * time.Second, Failover: 8 * time.Second, Restore: 8 * time.Second,
}

// Names of the databases in reports.
const (
	Postgres = "PostgreSQL"
	SQLite   = "SQLite"
)

// Application names of the connections of the workers, and of those of the tests.
const (
	workerApplication = "chaos-worker"
	driverApplication = "chaos-driver"
)

// stale is how old anything claimable or running may get: a lease until it is noticed, a lease for a second fault,
// and ten seconds.
func (c Config) stale() time.Duration { return 2*c.Lease + 10*time.Second }

// streams returns the faults that this configuration asks for and that this database can have.
func (c Config) streams(postgres bool) []stream {
	faults := []fault{kill{}, term{}, &freeze{}, fullDisk{}}
	switch {
	case c.Forgets:
		faults = append(faults, crash{}, failover{}, restore{})
	case postgres:
		faults = append(faults, &immediate{}, terminate{}, sever{after: false}, sever{after: true}, readOnly{},
			&exhaust{})
	}
	var list []stream
	for _, f := range faults {
		if n := c.Strikes[f.name()]; n > 0 {
			list = append(list, stream{fault: f, every: pace[f.name()], times: n})
		}
	}
	return list
}

// short returns the part of an id that differs between runs, for names.
func short(id dbtype.ID) string { return id.String()[24:] }
