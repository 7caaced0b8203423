package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/sluiceworks/sluice/bench/measure"
)

// run is one thing that is measured.
type run struct {
	key   string
	who   string // a contestant, or "sluice"
	what  string // for the reader
	lite  bool   // on SQLite
	once  bool   // not in each round: it takes long
	task  measure.Task
	flags []string // of `sluice bench`, beside those that the task means

	history, pending int // what lies there before, for sluice
	verify           bool
}

// Sizes are such that a run takes some seconds, and all of them together some twenty minutes.
const (
	chainLength = 10
	many        = 40_000
	idleRate    = 100
	busyRate    = 3_000
	minute      = 60
)

func sluiceRun(key, what string, tasks int, flags ...string) run {
	return run{key: key, who: "sluice", what: what, task: measure.Task{Tasks: tasks}, flags: flags}
}

func otherRun(key, who, what string, t measure.Task) run {
	t.Length = chainLength
	return run{key: key, who: who, what: what, task: t}
}

// stepsKey is the run whose steps are measured: one chain at a time.
const stepsKey = "steps"

// paced reports whether tasks arrive at a rate, so that the rate measured is not the engine's.
func (r run) paced() bool { return r.task.Rate > 0 || slices.Contains(r.flags, "--rate") }

func (r run) onSQLite() run { r.lite = true; return r }
func (r run) onlyOnce() run { r.once = true; return r }

// runs are all that can be measured, in the order of a round.
func runs() []run {
	chain := []string{"--shape", "chain", "--length", strconv.Itoa(chainLength)}
	flags := func(more ...string) []string { return slices.Concat(chain, more) }
	single := func(rate int, more ...string) []string {
		return append([]string{"--shape", "single", "--rate", strconv.Itoa(rate)}, more...)
	}
	last := sluiceRun("past", "chains of 10, with 10,000,000 events of the past and 1,000,000 tasks pending", many,
		chain...).onlyOnce()
	last.history, last.pending = 10_000_000, 1_000_000
	verify := sluiceRun("verify", "verify, events instead of tasks", 192_310, chain...).onlyOnce()
	verify.verify = true
	return []run{
		otherRun("floor", "floor", "chains of 10", measure.Task{Tasks: many}),
		sluiceRun("chain", "chains of 10", many, chain...),
		otherRun("river", "river", "single jobs, tuned", measure.Task{Tasks: many}),
		otherRun("river-default", "river", "single jobs, at its defaults",
			measure.Task{Tasks: many / 10, Defaults: true}),
		otherRun("dbos", "dbos", "workflows of 10 steps", measure.Task{Tasks: many / 10}),
		sluiceRun("wide", "pipelines of 10,000 tasks side by side", many, "--shape", "wide", "--width", "10000"),
		sluiceRun("single", "pipelines of one task", many, "--shape", "single"),
		sluiceRun("fan-in", "1,000 tasks, and one that needs them all", many, "--shape", "fan-in", "--width", "1000"),
		sluiceRun("chain-4", "chains of 10, 4 processes", many, flags("--processes", "4")...),
		sluiceRun(stepsKey, "one chain of 500 at a time", many/40, "--shape", "chain", "--length", "500", "--ahead",
			"1"),
		sluiceRun("idle", fmt.Sprintf("single tasks, %d/s at random", idleRate), idleRate*minute/6,
			single(idleRate)...),
		otherRun("river-idle", "river", fmt.Sprintf("single jobs, %d/s at random, tuned", idleRate),
			measure.Task{Tasks: idleRate * minute / 6, Rate: idleRate}),
		otherRun("river-default-idle", "river", fmt.Sprintf("single jobs, %d/s at random, at its defaults", idleRate),
			measure.Task{Tasks: idleRate * minute / 6, Rate: idleRate, Defaults: true}),
		otherRun("lite-floor", "lite-floor", "chains of 10", measure.Task{Tasks: many}).onSQLite(),
		sluiceRun("lite-chain", "chains of 10", many, chain...).onSQLite(),
		otherRun("lite-river", "riverlite", "single jobs, tuned", measure.Task{Tasks: many / 4}).onSQLite(),
		otherRun("goworkflows", "goworkflows", "workflows of 10 activities", measure.Task{Tasks: many / 40}).onSQLite(),

		sluiceRun("busy", fmt.Sprintf("single tasks, %d/s", busyRate), busyRate*minute, single(busyRate)...).onlyOnce(),
		sluiceRun("busy-snapshot", fmt.Sprintf("single tasks, %d/s, an old snapshot held", busyRate), busyRate*minute,
			single(busyRate, "--hold-snapshot")...).onlyOnce(),
		otherRun("river-busy", "river", fmt.Sprintf("single jobs, %d/s, tuned", busyRate),
			measure.Task{Tasks: busyRate * minute, Rate: busyRate}).onlyOnce(),
		otherRun("river-busy-snapshot", "river", fmt.Sprintf("single jobs, %d/s, tuned, an old snapshot held",
			busyRate), measure.Task{Tasks: busyRate * minute, Rate: busyRate, Snapshot: true}).onlyOnce(),
		sluiceRun("long", "500,000 tasks in chains of 10, an old snapshot held", 500_000, flags("--hold-snapshot")...).
			onlyOnce(),
		verify,
		last,
	}
}

// scaled is a run with a part of its work, and at least some chains.
func (r run) scaled(part float64) run {
	r.task.Tasks = max(int(float64(r.task.Tasks)*part)/chainLength*chainLength, 10*chainLength)
	r.history, r.pending = int(float64(r.history)*part), int(float64(r.pending)*part)
	return r
}

// arguments are the flags of `sluice bench` for this run.
func (r run) arguments() []string {
	args := append([]string{"--tasks", strconv.Itoa(r.task.Tasks)}, r.flags...)
	if r.history > 0 {
		args = append(args, "--history", strconv.Itoa(r.history))
	}
	if r.pending > 0 {
		args = append(args, "--pending", strconv.Itoa(r.pending))
	}
	return args
}
