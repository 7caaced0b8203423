package bench

import (
	"io"
	"os/exec"
	"time"
)

// Config is the configuration of a benchmark. A number that is 0 means none, unless stated otherwise.
type Config struct {
	Shape         Shape
	Length, Width int // of a run, for shapes that have them
	Tasks         int // minimum; only whole runs are started
	Slots         int // tasks that a process runs at once; 0: the default of `serve`
	Payload       int // bytes of each task's output
	Sleep         time.Duration
	Rate          float64 // runs that arrive per second, at random times; 0: no delay
	// maximum number of open tasks; 0: defaultMaxOpen, or two runs if that is more; ignored with a Rate
	Ahead        int
	HoldSnapshot bool // keep a snapshot open in another connection during the measurement
	// rows in the outbox before the measurement: half of them due in a year, half in a queue without workers
	Pending int
	History int  // minimum number of events of runs that ended before the measurement
	Keep    bool // do not remove the tenant

	Processes int              // total number; 0: 1
	Helper    func() *exec.Cmd // returns the command of a helper process, which calls Attend

	Profile io.Writer // receives this process's CPU profile of the measurement; nil: none

	Progress func(what string, done, total int64) // called at intervals in long phases; may be nil
}

// Plan is a checked configuration.
type Plan struct {
	config Config
	graph  [][]int // dependencies of each task of a run, by index
	runs   int
}

// maxObserved limits the tasks that are observed one by one. Each takes about 40 bytes of memory.
const maxObserved = 100_000

// defaultMaxOpen is the default limit of open tasks, unless two runs have more. With two runs, one is created while the
// other runs.
const defaultMaxOpen = 10_000

// NewPlan checks a configuration. It fails with ErrShape if a run would be too large.
func NewPlan(c Config) (Plan, error) {
	graph, err := c.Shape.Graph(c.Length, c.Width)
	if err != nil {
		return Plan{}, err
	}
	if c.Ahead == 0 {
		c.Ahead = max(defaultMaxOpen, 2*len(graph))
	}
	return Plan{config: c, graph: graph, runs: (c.Tasks + len(graph) - 1) / len(graph)}, nil
}

// tasks returns how many tasks are created.
func (p Plan) tasks() int { return p.runs * len(p.graph) }

// third returns after how many tasks the i-th third ends.
func (p Plan) third(i int) int64 { return (int64(p.tasks())*int64(i) + 2) / 3 }

// Settings returns the handler's settings, which all processes of the benchmark must share.
func (p Plan) Settings() Settings {
	every := (p.tasks() + maxObserved - 1) / maxObserved
	// With few large runs, observe all of them. Otherwise it could happen that none is selected.
	return Settings{Payload: p.config.Payload, Sleep: p.config.Sleep, SampleEvery: max(min(every, p.runs/100), 1)}
}
