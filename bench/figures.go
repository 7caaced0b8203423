package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/sluiceworks/sluice/bench/measure"
)

// figure is a line of the table of ratios.
type figure struct {
	name, title string
	needs       []string // keys of runs
	// one returns the figure of one round. The outcomes are in the order of needs. A run that is measured only once
	// has the same outcome in each round.
	one    func(o []measure.Outcome) float64
	format string
}

const (
	asRatio  = "%.2f"
	asMillis = "%.2f ms"
)

// rateTo is how many times the rate of the second the first has.
func rateTo(o []measure.Outcome) float64 { return o[0].TasksPerSecond / o[1].TasksPerSecond }

func ratio(name, title, first, second string) figure {
	return figure{name, title, []string{first, second}, rateTo, asRatio}
}

// cost compares processor time a task: other work on the machine moves it far less than a rate.
func cost(name, title, first, second string) figure {
	perTask := func(o measure.Outcome) float64 { return (o.CPU + o.ServerCPU) / float64(o.Tasks) }
	return figure{
		name, title,
		[]string{first, second},
		func(o []measure.Outcome) float64 { return perTask(o[0]) / perTask(o[1]) }, asRatio,
	}
}

func latency(name, title, key string, of func(o measure.Outcome) float64) figure {
	return figure{name, title, []string{key}, func(o []measure.Outcome) float64 { return of(o[0]) }, asMillis}
}

func p50(l *measure.Latency) float64 {
	if l == nil {
		return 0
	}
	return l.P50
}

func p99(l *measure.Latency) float64 {
	if l == nil {
		return 0
	}
	return l.P99
}

func idle50(o measure.Outcome) float64 { return p50(o.Latency) }
func idle99(o measure.Outcome) float64 { return p99(o.Latency) }

// figures are all of them.
func figures() []figure {
	return []figure{
		ratio("floor", "chains of 10 on Postgres, to the floor", "chain", "floor"),
		ratio("river", "chains of 10, to River's single jobs, tuned, insert and work", "chain", "river"),
		cost("floor-cost", "processor time of a task in chains of 10, engine and server, to the floor's", "chain",
			"floor"),
		cost("river-cost", "the same, to River's single jobs, tuned", "chain", "river"),
		ratio("river-default", "chains of 10, to River's single jobs at its defaults", "chain", "river-default"),
		ratio("dbos", "chains of 10, to DBOS workflows of 10 steps", "chain", "dbos"),
		ratio("wide", "pipelines of 10,000 tasks, to chains of 10", "wide", "chain"),
		ratio("single", "pipelines of one task, to chains of 10", "single", "chain"),
		ratio("fan-in", "fan-in of 1,000, to chains of 10", "fan-in", "chain"),
		ratio("processes", "4 processes on the same cores, to 1", "chain-4", "chain"),
		ratio("sqlite-floor", "chains of 10 on SQLite, synchronous FULL, to its floor", "lite-chain", "lite-floor"),
		cost("sqlite-floor-cost", "processor time of a task in chains of 10 on SQLite, to the floor's", "lite-chain",
			"lite-floor"),
		ratio("sqlite-river", "chains of 10 on SQLite, to River's single jobs on SQLite, tuned", "lite-chain",
			"lite-river"),
		ratio("goworkflows", "chains of 10 on SQLite, to go-workflows of 10 activities", "lite-chain", "goworkflows"),
		{
			"long", "last third of 500,000 tasks, to the first, an old snapshot held",
			[]string{"long"},
			func(o []measure.Outcome) float64 {
				return o[0].Thirds[2] / o[0].Thirds[0]
			}, asRatio,
		},
		ratio("past", "with 10,000,000 past events and 1,000,000 pending tasks, to an empty database", "past", "chain"),
		{
			"cpu", "CPU of Postgres at 3,000 tasks/s, an old snapshot held, to none",
			[]string{"busy-snapshot", "busy"},
			cpuTo, asRatio,
		},
		{"river-cpu", "the same of River", []string{"river-busy-snapshot", "river-busy"}, cpuTo, asRatio},
		{
			"cpu-to-river", "CPU of Postgres at 3,000 tasks/s, to River's",
			[]string{"busy", "river-busy"},
			cpuTo,
			asRatio,
		},
		latency("idle", "a task begins after it was created, idle Postgres, median", "idle", idle50),
		latency("idle-99", "the same, 99 %", "idle", idle99),
		latency("river-idle", "the same of River, tuned, median", "river-idle", idle50),
		latency("river-idle-99", "the same, 99 %", "river-idle", idle99),
		latency("river-default-idle", "the same of River at its defaults, median", "river-default-idle", idle50),
		latency("river-default-idle-99", "the same, 99 %", "river-default-idle", idle99),
		latency("step", "a step of a chain: from one task's end to the next one's beginning, median", stepsKey,
			func(o measure.Outcome) float64 { return p50(o.Step) }),
		{
			"verify", "verify of 1,000,000 events",
			[]string{"verify"},
			func(o []measure.Outcome) float64 { return o[0].Seconds }, "%.1f s",
		},
	}
}

func cpuTo(o []measure.Outcome) float64 { return o[0].ServerCPU / o[1].ServerCPU }

// value is a median with its spread.
type value struct {
	median, low, high float64
	rounds            int
}

func summarize(list []float64) value {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return value{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1], n}
}

// of works out a figure; false if it was not measured. The ratio is taken within each round, of runs that are near in
// time.
func (f figure) of(r *results) (v value, ok bool) {
	rounds := 1
	for _, key := range f.needs {
		if len(r.Runs[key]) == 0 {
			return v, false
		}
		rounds = max(rounds, len(r.Runs[key]))
	}
	list := make([]float64, rounds)
	for i := range list {
		var o []measure.Outcome
		for _, key := range f.needs {
			all := r.Runs[key]
			o = append(o, all[min(i, len(all)-1)])
		}
		list[i] = f.one(o)
	}
	v = summarize(list)
	return v, !math.IsNaN(v.low) && !math.IsInf(v.high, 0) // nothing was used, or none took any time: too small a scale
}

func (f figure) show(v value) (median, spread string) {
	median = fmt.Sprintf(f.format, v.median)
	if v.rounds > 1 {
		spread = fmt.Sprintf(f.format+" – "+f.format, v.low, v.high)
	}
	return median, spread
}
