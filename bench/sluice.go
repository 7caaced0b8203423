package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/bench/measure"
)

// document is what this program reads of `sluice bench`.
type document struct {
	Tenant         string           `json:"tenant"`
	Tasks          int              `json:"tasks"`
	Runs           int              `json:"runs"`
	Seconds        float64          `json:"seconds"`
	TasksPerSecond float64          `json:"tasks_per_second"`
	Thirds         []float64        `json:"thirds_tasks_per_second"`
	Events         int              `json:"events"`
	ReadyToStart   *measure.Latency `json:"ready_to_start_ms"`
	Step           *measure.Latency `json:"step_ms"`
	CPU            float64          `json:"cpu_seconds"`
	ServerCPU      *float64         `json:"server_cpu_seconds"`
	Verified       struct {
		Breaches int `json:"breaches"`
	} `json:"verified"`
	Settings struct {
		Workers int `json:"workers"`
	} `json:"settings"`
}

// sluiceBench measures this engine, at its default settings but for the flags.
func (b *bench) sluiceBench(
	ctx context.Context, url string, flags ...string,
) (o measure.Outcome, d document, err error) {
	args := append([]string{"bench", "-o", "json"}, flags...)
	out, err := output(ctx, []string{"SLUICE_DATABASE_URL=" + url}, b.sluice, args...)
	if err != nil {
		return o, d, err // a breach ends the program with 1
	}
	if err := json.Unmarshal(out, &d); err != nil {
		return o, d, fmt.Errorf("read the answer of sluice bench: %w", err)
	}
	const perTask, perRun = 5, 2
	if want := perTask*d.Tasks + perRun*d.Runs; d.Events != want || d.Verified.Breaches != 0 {
		return o, d, fmt.Errorf("sluice has %d events and %d breaches, expected %d and none", d.Events,
			d.Verified.Breaches, want)
	}
	o = measure.Outcome{
		Tasks: d.Tasks, Seconds: d.Seconds, TasksPerSecond: d.TasksPerSecond, Thirds: d.Thirds, CPU: d.CPU,
		Latency: d.ReadyToStart, Step: d.Step,
		Settings: fmt.Sprintf("its defaults, %d slots", d.Settings.Workers),
	}
	if d.ServerCPU != nil {
		o.ServerCPU = *d.ServerCPU
	}
	return o, d, nil
}

// sluiceVerify measures how long `sluice verify` takes over what a benchmark has left. The rate is in events.
func (b *bench) sluiceVerify(ctx context.Context, url string, flags ...string) (o measure.Outcome, err error) {
	_, d, err := b.sluiceBench(ctx, url, append(flags, "--keep")...)
	if err != nil {
		return o, err
	}
	began := time.Now()
	out, err := output(ctx, []string{"SLUICE_DATABASE_URL=" + url}, b.sluice,
		"verify", "--tenant", d.Tenant, "-o", "json")
	if err != nil {
		return o, err
	}
	seconds := time.Since(began).Seconds()
	var report struct {
		Events   int   `json:"events"`
		Breaches []any `json:"breaches"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return o, fmt.Errorf("read the answer of sluice verify: %w", err)
	}
	if report.Events != d.Events || len(report.Breaches) != 0 {
		return o, fmt.Errorf("sluice verify saw %d events and %d breaches, expected %d and none", report.Events,
			len(report.Breaches), d.Events)
	}
	return measure.Outcome{
		Tasks: report.Events, Seconds: seconds, TasksPerSecond: float64(report.Events) / seconds,
		Settings: "`sluice verify` after",
	}, nil
}
