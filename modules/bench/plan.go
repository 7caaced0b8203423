package bench

import (
	"io"
	"os/exec"
	"time"
)

// Config says what a benchmark does. Numbers that are 0 mean none, unless something else stands there.
type Config struct {
	Shape         Shape
	Length, Width int // of a run, for the shapes that have them
	Tasks         int // at least; whole runs are started
	Slots         int // tasks that a process runs at once; 0: what `serve` takes
	Payload       int // bytes of each task's output
	Sleep         time.Duration
	Rate          float64 // runs that arrive per second, at random; 0: as fast as they are worked off
	// most tasks that are created before they are worked off; 0: usualAhead, or two runs; does not hold with a rate
	Ahead        int
	HoldSnapshot bool // another connection looks at the database as it was, all the while
	// rows that lie in the outbox before: half of them due in a year, half of a queue that nobody serves
	Pending int
	History int  // events, at least, of runs that have ended before
	Keep    bool // leave the tenant

	Processes int              // in all; 0: 1
	Helper    func() *exec.Cmd // the command line of a further process, which calls Attend

	Profile io.Writer // gets this process's processor profile of the measured time; nil: nobody

	Progress func(what string, done, total int64) // is told of long phases now and then; nil: nobody
}

// Plan is a benchmark that can be run.
type Plan struct {
	config Config
	graph  [][]int // what each task of a run needs, by place
	runs   int
}

// maxObserved bounds the tasks that are observed one by one: in memory each takes some forty bytes.
const maxObserved = 100_000

// usualAhead is how many tasks are created before they are worked off, unless two runs have more: then one is created
// while another is worked off.
const usualAhead = 10_000

// NewPlan checks a configuration. It fails with ErrShape.
func NewPlan(c Config) (Plan, error) {
	graph, err := c.Shape.Graph(c.Length, c.Width)
	if err != nil {
		return Plan{}, err
	}
	if c.Ahead == 0 {
		c.Ahead = max(usualAhead, 2*len(graph))
	}
	return Plan{config: c, graph: graph, runs: (c.Tasks + len(graph) - 1) / len(graph)}, nil
}

// tasks is how many tasks are created.
func (p Plan) tasks() int { return p.runs * len(p.graph) }

// third is after how many tasks the i-th third ends.
func (p Plan) third(i int) int64 { return (int64(p.tasks())*int64(i) + 2) / 3 }

// Settings are what each process of the benchmark must be told.
func (p Plan) Settings() Settings {
	every := (p.tasks() + maxObserved - 1) / maxObserved
	// Of few large runs all are observed: by chance none might be chosen.
	return Settings{Payload: p.config.Payload, Sleep: p.config.Sleep, Every: max(min(every, p.runs/100), 1)}
}
