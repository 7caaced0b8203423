package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/bench/measure"
	"github.com/sluiceworks/sluice/platform/db/dbtest/localpg"
)

// TestFigures: each figure has a name of its own, and needs what can be measured.
func TestFigures(t *testing.T) {
	known, seen := map[string]bool{}, map[string]bool{}
	for _, r := range runs() {
		if known[r.key] {
			t.Errorf("two runs are %q", r.key)
		}
		known[r.key] = true
		if names[r.who] == "" {
			t.Errorf("%s has no name for the reader", r.who)
		}
	}
	for _, f := range figures() {
		if seen[f.name] {
			t.Errorf("two figures are %q", f.name)
		}
		seen[f.name] = true
		for _, key := range f.needs {
			if !known[key] {
				t.Errorf("%s needs the run %q, which is not there", f.name, key)
			}
		}
	}
}

func TestWantedRuns(t *testing.T) {
	list, err := wantedRuns(options{only: []string{"river"}, scale: 0.5})
	if err != nil || len(list) != 2 || list[0].key != "chain" || list[1].task.Tasks != many/2 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := wantedRuns(options{only: []string{"rivr"}}); err == nil {
		t.Error("a figure that is not there is no error")
	}
	last, err := wantedRuns(options{only: []string{"past"}, scale: 0.001})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(last[1].arguments(), " ")
	if got != "--tasks 100 --shape chain --length 10 --history 10000 --pending 1000" {
		t.Errorf("arguments %q", got)
	}
}

// TestRender takes ratios within rounds: 0.5, 0.25 and 1, whatever the machine's mood in each.
func TestRender(t *testing.T) {
	r := results{Scale: 0.1, Rounds: 3, Runs: map[string][]measure.Outcome{
		"chain": {
			{Tasks: 10, TasksPerSecond: 500},
			{Tasks: 10, TasksPerSecond: 2500},
			{Tasks: 10, TasksPerSecond: 1000},
		},
		"floor": {
			{Tasks: 10, TasksPerSecond: 1000},
			{Tasks: 10, TasksPerSecond: 10000},
			{Tasks: 10, TasksPerSecond: 1000},
		},
		"long": {{Tasks: 10, Thirds: []float64{400, 300, 200}}},
	}}
	page := render(&r)
	for _, want := range []string{
		"| chains of 10 on Postgres, to the floor | **0.50** | 0.25 – 1.00 | 3 |",
		"an old snapshot held | **0.50** |  | 1 |",
		"sluice, chains of 10 " + strings.Repeat("█", barWidth) + " 1,000",
		"3 rounds of everything short", "A quick look", "| 10 | 1,000 | 500 – 2,500 |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Contains(page, "go-workflows of 10 activities |") || strings.Contains(page, "NaN") {
		t.Error("the page has what was not measured")
	}
}

func TestBar(t *testing.T) {
	for part, want := range map[float64]string{1: strings.Repeat("█", barWidth), 0: "▏", 1.5 / barWidth: "█▌"} {
		if got := bar(part); got != want {
			t.Errorf("bar(%v) = %q, expected %q", part, got, want)
		}
	}
	for v, want := range map[float64]string{7: "7", 999.6: "1,000", 1234567: "1,234,567"} {
		if got := thousands(v); got != want {
			t.Errorf("thousands(%v) = %q, expected %q", v, got, want)
		}
	}
}

// TestContestants: each that this program holds does what it is told, on a real database, and checks that itself.
func TestContestants(t *testing.T) {
	server, err := localpg.Start(t.Context(), localpg.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{server: server, dir: t.TempDir()}
	if b.admin, err = connect(t.Context(), server.URL()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.admin.Close(context.Background()) })
	for name, task := range map[string]measure.Task{
		"floor": {Tasks: 9000}, "lite-floor": {Tasks: 1050}, "dbos": {Tasks: 50}, "goworkflows": {Tasks: 50},
		"river": {Tasks: 2500}, "riverlite": {Tasks: 1200},
		"river at a rate":  {Tasks: 50, Rate: 500, Snapshot: true},
		"river by default": {Tasks: 50, Defaults: true},
	} {
		t.Run(name, func(t *testing.T) {
			who, _, _ := strings.Cut(name, " ")
			lite := who == "lite-floor" || who == "riverlite" || who == "goworkflows"
			where, drop, err := b.database(t.Context(), lite)
			if err != nil {
				t.Fatal(err)
			}
			task.Database, task.Length, task.ServerPID = where, 10, server.PID()
			o, err := contestants[who](t.Context(), task)
			if err != nil || o.Tasks != task.Tasks || o.TasksPerSecond <= 0 || o.CPU <= 0 || o.Settings == "" {
				t.Errorf("%+v, %v", o, err)
			}
			if l := o.Latency; task.Rate > 0 && (l == nil || l.Count != task.Tasks || l.P50 <= 0 || l.P99 < l.P50) {
				t.Errorf("latency %+v", l)
			}
			if err := drop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestResults: what is written can be read again, and is replaced as a whole.
func TestResults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	for _, scale := range []float64{1, 2} {
		r := &results{Scale: scale, Runs: map[string][]measure.Outcome{"chain": {{Tasks: 3}}}}
		if err := r.write(path); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r results
	if err := json.Unmarshal(text, &r); err != nil || r.Scale != 2 || r.Runs["chain"][0].Tasks != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}
