// Package measure defines what all contestants share: the request that they read, the result that they print, and the
// way it is measured.
package measure

import (
	"context"
	"fmt"
	"math"
	"slices"
	"syscall"
	"time"
)

// Task is what a contestant is told to do.
type Task struct {
	Database  string `json:"database"` // URL of an empty Postgres database, or a path where no SQLite file is yet
	ServerPID int    `json:"server_pid"`
	Tasks     int    `json:"tasks"`
	Length    int    `json:"length"` // tasks of a chain, for contestants that have chains
	// Rate is how many tasks arrive per second, at random; 0: as fast as they are worked off.
	Rate float64 `json:"rate"`
	// Defaults selects the contestant's own defaults, instead of what its authors advise for throughput.
	Defaults bool `json:"defaults"`
	Snapshot bool `json:"hold_snapshot"` // another connection looks at the database as it was, all the while
}

// Outcome is what came of it.
type Outcome struct {
	Tasks          int       `json:"tasks"`
	Seconds        float64   `json:"seconds"` // from before the first creation to the last durable completion
	TasksPerSecond float64   `json:"tasks_per_second"`
	CPU            float64   `json:"cpu_seconds"`        // of the contestant's processes
	ServerCPU      float64   `json:"server_cpu_seconds"` // of Postgres
	Latency        *Latency  `json:"latency_ms"`         // at a rate: from before a task's creation to its beginning
	Step           *Latency  `json:"step_ms"`            // from the end of a task to the beginning of its successor
	Thirds         []float64 `json:"thirds_tasks_per_second"`
	Settings       string    `json:"settings"`
}

// Latency is in milliseconds.
type Latency struct {
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Count int     `json:"count"`
}

// Latencies summarizes durations; nil for none.
func Latencies(all []time.Duration) *Latency {
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	at := func(q float64) float64 {
		return float64(all[max(int(math.Ceil(q*float64(len(all))))-1, 0)].Microseconds()) / 1000
	}
	return &Latency{P50: at(0.5), P99: at(0.99), Count: len(all)}
}

// Meter measures from Start to Stop.
type Meter struct {
	began       time.Time
	cpu, server float64
	pid         int
}

// Start begins to measure. pid is the first process of the Postgres server, 0 without one.
func Start(pid int) (*Meter, error) {
	server, err := ServerCPU(pid)
	if err != nil {
		return nil, err
	}
	cpu, err := ownCPU()
	if err != nil {
		return nil, err
	}
	return &Meter{time.Now(), cpu, server, pid}, nil
}

// Stop gives what was measured for n tasks.
func (m *Meter) Stop(n int) (o Outcome, err error) {
	seconds := time.Since(m.began).Seconds()
	cpu, err := ownCPU()
	if err != nil {
		return o, err
	}
	server, err := ServerCPU(m.pid)
	if err != nil {
		return o, err
	}
	return Outcome{
		Tasks: n, Seconds: seconds, TasksPerSecond: float64(n) / seconds, CPU: cpu - m.cpu,
		ServerCPU: server - m.server,
	}, nil
}

func ownCPU() (float64, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read this process's usage: %w", err)
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(u.Utime) + seconds(u.Stime), nil
}

// Pause waits for d, or for the end of ctx, which is its error.
func Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
