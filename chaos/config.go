package chaos

import (
	"context"
	"io"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
)

// Config says how large a run is. Every number is reached, or the run says which was not.
type Config struct {
	Workers int           // processes
	Slots   int           // tasks that a process runs at once
	Lease   time.Duration // of each process
	Open    int           // runs kept open at once
	Poison  int           // a misbehaving handler is in each so many-th run; 0: in none

	Transitions int            // at least so many, by the events in the history
	Refused     int            // late outcomes of zombies
	Strikes     map[string]int // how often each fault strikes, by its name; one that is not named does not

	Start []string                            // pipelines started once, at the beginning, by name
	Check func(context.Context, *db.DB) error // a further look at the end, if set

	Limit    time.Duration // the faults end after it, whatever is still missing
	Worker   string        // path of the worker's binary
	Skewed   string        // path of a worker's binary whose clock is an hour off, for one of the processes; empty: none
	SameName bool          // two processes see themselves under one name: the same host and process id
	Dir      string        // for the files of the run
	Disk     string        // where the database's own small disk is mounted, for the fault FullDisk
	File     string        // SQLite's file, which may be there already; empty: a new one in Dir
	Before   string        // folder of ledgers from before, of a file that is there already and may have lost its last commits
	Forgets  bool          // the server forgets commits that it has answered: the faults are those that make it do so
	Brutal   bool          // at the end the processes are killed, and nothing is checked
	Progress io.Writer     // a line now and then
}

// pace is how long, on the average, each fault rests between two strikes. Together they leave a worker about as long alive as
// its startup and a few tasks take.
var pace = map[string]time.Duration{
	"kill": 900 * time.Millisecond, "graceful stop": 4 * time.Second, "zombie": 4 * time.Second, "immediate stop": 4500 * time.Millisecond,
	"backend terminated": 3 * time.Second, "link cut before COMMIT": 6 * time.Second, "link cut after COMMIT": 6 * time.Second,
	ReadOnly: 6 * time.Second, FullDisk: 2 * time.Second, Crash: 4 * time.Second, Failover: 8 * time.Second, Restore: 8 * time.Second,
}

// Names of the databases, as reports call them.
const (
	Postgres = "PostgreSQL"
	SQLite   = "SQLite"
)

// What the server calls the connections of the workers, and of those that look at them.
const (
	workerApplication = "chaos-worker"
	driverApplication = "chaos-driver"
)

// stale is how old anything claimable or running may get: a lease to find out, one for a second misfortune, and ten seconds.
func (c Config) stale() time.Duration { return 2*c.Lease + 10*time.Second }

// streams are the faults that this configuration asks for and this database can have.
func (c Config) streams(postgres bool) []stream {
	faults := []fault{kill{}, term{}, &freeze{}, fullDisk{}}
	switch {
	case c.Forgets:
		faults = append(faults, crash{}, failover{}, restore{})
	case postgres:
		faults = append(faults, &immediate{}, terminate{}, sever{after: false}, sever{after: true}, readOnly{})
	}
	var list []stream
	for _, f := range faults {
		if n := c.Strikes[f.name()]; n > 0 {
			list = append(list, stream{fault: f, every: pace[f.name()], times: n})
		}
	}
	return list
}

// short is an id's part that differs from run to run, for names.
func short(id db.ID) string { return id.String()[24:] }
