package app_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// quantiles is a latency as bench prints it.
type quantiles struct {
	P50, P90, P99, Max float64
	Count              int
}

// measurement is the document of bench.
type measurement struct {
	Database       string            `json:"database"`
	ServerVersion  string            `json:"server_version"`
	Tenant         string            `json:"tenant"`
	Shape          string            `json:"shape"`
	Tasks          int               `json:"tasks"`
	Seconds        float64           `json:"seconds"`
	TasksPerSecond float64           `json:"tasks_per_second"`
	Thirds         []float64         `json:"thirds_tasks_per_second"`
	Events         int               `json:"events"`
	Transactions   int               `json:"transactions"`
	ReadyToStart   *quantiles        `json:"ready_to_start_ms"`
	Step           *quantiles        `json:"step_ms"`
	CPUSeconds     float64           `json:"cpu_seconds"`
	PeakMemory     int64             `json:"peak_memory_bytes"`
	WALPerTask     *float64          `json:"wal_bytes_per_task"`
	DataPerTask    float64           `json:"database_bytes_per_task"`
	Verified       map[string]int    `json:"verified"`
	Settings       map[string]any    `json:"settings"`
	Server         map[string]string `json:"server_settings"`
	GOMAXPROCS     int               `json:"gomaxprocs"`
	Program        map[string]any    `json:"program"`
}

// tenants lists the tenants that benchmarks have left.
func (p *program) tenants(t *testing.T) []string {
	t.Helper()
	var names []string
	if path, ok := strings.CutPrefix(p.url, "sqlite://"); ok {
		files, err := filepath.Glob(strings.TrimSuffix(path, ".db") + ".bench_*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			names = append(names, strings.Split(filepath.Base(f), ".")[1])
		}
		return slices.Compact(names)
	}
	err := dbtest.Open(t, p.url).Query(t.Context(), `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'bench_%'`,
		nil, func(scan db.Scan) error {
			var name string
			err := scan(&name)
			names = append(names, name)
			return err
		})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func (p *program) leavesNothing(t *testing.T) {
	t.Helper()
	if left := p.tenants(t); len(left) != 0 {
		t.Errorf("the benchmark has left %v", left)
	}
}

// TestBenchShapes checks that each shape runs completely, that all its events exist and verify, and that nothing is
// left.
func TestBenchShapes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args               []string
		tasks, runs, steps int
	}{
		{[]string{"single", "--tasks", "50"}, 50, 50, 0},
		{[]string{"chain", "--tasks", "39", "--length", "8", "--payload", "3000"}, 40, 5, 35},
		{[]string{"wide", "--tasks", "300", "--width", "150", "--workers", "10"}, 300, 2, 0},
		{[]string{"diamond", "--tasks", "21", "--sleep", "5ms"}, 24, 6, 18},
		{[]string{"fan-in", "--tasks", "1", "--width", "30"}, 31, 1, 1},
		{[]string{"layers", "--tasks", "60", "--length", "3", "--width", "4", "--ahead", "1"}, 60, 5, 40},
	} {
		t.Run(c.args[0], func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, p *program) {
				m := decode[measurement](t, p.ok(t, append([]string{"bench", "--shape"}, c.args...)...))
				events := 5*c.tasks + 2*c.runs // created, ready, claimed, started and completed; a run's start and end
				want := map[string]int{
					"executions": c.runs, "tasks": c.tasks, "events": events, "outbox_rows": 0,
					"breaches": 0,
				}
				if m.Shape != c.args[0] || m.Tasks != c.tasks || m.Events != events ||
					fmt.Sprint(m.Verified) != fmt.Sprint(want) {
					t.Errorf("%+v, expected %d tasks, %d events", m, c.tasks, events)
				}
				if m.ReadyToStart == nil || m.ReadyToStart.Count != c.tasks || m.ReadyToStart.Max <= 0 ||
					m.ReadyToStart.P50 > m.ReadyToStart.P99 {
					t.Errorf("ready to start: %+v", m.ReadyToStart)
				}
				switch {
				case c.steps == 0 && m.Step != nil, c.steps > 0 &&
					(m.Step == nil || m.Step.Count != c.steps || m.Step.Max <= 0):
					t.Errorf("%d steps: %+v", c.steps, m.Step)
				}
				p.leavesNothing(t)
			})
		})
	}
}

// TestBenchDocument checks that the document has what a reader needs to compare two of them.
func TestBenchDocument(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		profile := filepath.Join(t.TempDir(), "cpu.pprof")
		args := []string{
			"bench", "--tasks", "200", "--rate", "400", "--pending", "151", "--history", "100",
			"--hold-snapshot",
		}
		// profiled is set for one database only: a process has one CPU profile, and the other database's test may
		// run.
		profiled := strings.HasPrefix(p.url, "sqlite")
		if profiled {
			args = append(args, "--cpu-profile", profile)
		}
		out := p.ok(t, args...)
		m := decode[measurement](t, out)
		if !strings.HasPrefix(p.url, m.Database) || m.ServerVersion == "" || m.Tasks != 200 || m.Events != 1400 ||
			m.GOMAXPROCS < 1 || m.Program["go"] == "" {
			t.Errorf("what was measured: %+v", m)
		}
		// There are two runs of history; 75 tasks are created, ready, claimed, started and deferred, and 76 are
		// created and ready, each group in one run.
		if m.Verified["events"] != 1400+2*52+75*5+1+76*2+1 || m.Verified["outbox_rows"] != 151 ||
			m.Verified["tasks"] != 200+151+20 || m.Verified["breaches"] != 0 {
			t.Errorf("what lay there: %v", m.Verified)
		}
		if m.Seconds < 0.2 || m.Transactions < 3 || m.CPUSeconds <= 0 || m.PeakMemory < 1<<20 || m.DataPerTask <= 0 {
			t.Errorf("figures: %+v", m)
		}
		if got := m.TasksPerSecond * m.Seconds; got < 199 || got > 201 {
			t.Errorf("%v tasks per second in %v seconds", m.TasksPerSecond, m.Seconds)
		}
		// The three thirds of the tasks took as long as all of them.
		took := 0.0
		for i, n := range []float64{67, 67, 66} {
			if m.Thirds[i] > 0 { // 0: it ended with the one before, in one transaction
				took += n / m.Thirds[i]
			}
		}
		if len(m.Thirds) != 3 || took < m.Seconds*0.99 || took > m.Seconds*1.01 {
			t.Errorf("thirds %v took %v seconds, not %v", m.Thirds, took, m.Seconds)
		}
		if onServer := m.Database == "postgres"; onServer != (m.WALPerTask != nil) || onServer && *m.WALPerTask <= 0 ||
			len(m.Server) == 0 {
			t.Errorf("log per task: %v, settings %v", m.WALPerTask, m.Server)
		}
		for key, want := range map[string]any{
			"rate": 400., "pending": 151., "history": 100., "hold_snapshot": true,
			"workers": 1000., "processes": 1., "length": 0.,
		} {
			if m.Settings[key] != want {
				t.Errorf("setting %s is %v, expected %v", key, m.Settings[key], want)
			}
		}
		var keys map[string]json.RawMessage
		if err := json.Unmarshal([]byte(out), &keys); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"server_cpu_seconds", "step_ms", "claims_lost", "runs"} {
			if _, ok := keys[key]; !ok {
				t.Errorf("no %s in the document", key)
			}
		}
		if info, err := os.Stat(profile); profiled && (err != nil || info.Size() == 0) {
			t.Errorf("profile: %v", err)
		}
		p.leavesNothing(t)
		contains(t, p.ok(t, "bench", "--tasks", "10", "-o", "table"), "tasks per second", "ready to start",
			" 0 breaches")
	})
}

// TestBenchKeep checks that --keep leaves a complete and consistent tenant.
func TestBenchKeep(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "bench", "--tasks", "30", "--shape", "diamond", "--keep")
		m := decode[measurement](t, r.stdout)
		contains(t, r.stderr, "--tenant "+m.Tenant)
		if left := p.tenants(t); len(left) != 1 || left[0] != m.Tenant {
			t.Fatalf("left are %v, not %s", left, m.Tenant)
		}
		contains(t, p.ok(t, "verify", "--tenant", m.Tenant), "32 tasks", "no breach")
		if list := decode[listing[execution]](t, p.ok(t, "list", "-o", "json")).Items; len(list) > 0 {
			t.Errorf("another tenant has %v", list)
		}
	})
}

// TestBenchInterrupt checks that an interrupt at any time leaves nothing.
func TestBenchInterrupt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		for _, args := range [][]string{
			{"--tasks", "100", "--sleep", "1h", "--hold-snapshot"},
			{"--history", "100000000"},
			{"--pending", "100000000"},
			{"--rate", "0.01"},
		} {
			bench := p.begin(t, append([]string{"bench"}, args...)...)
			dbtest.Eventually(t, "it has begun",
				func() bool { return p.eventsThere(t) > 0 || args[0] == "--rate" && len(p.tenants(t)) > 0 })
			if r := bench.stop(t); r.code != 130 || r.stdout != "" {
				t.Errorf("%v: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
			}
			p.leavesNothing(t)
		}
	})
}

// eventsThere counts the events in the tenant of the running benchmark. It returns 0 before the tenant can be read.
func (p *program) eventsThere(t *testing.T) (n int) {
	t.Helper()
	d := dbtest.Open(t, p.url)
	for _, name := range p.tenants(t) {
		err := d.Query(db.WithTenant(t.Context(), name), `SELECT count(*) FROM {execution_events}`, nil,
			func(scan db.Scan) error { return scan(&n) })
		if err != nil {
			return 0 // its tables do not exist yet
		}
	}
	return n
}

// TestBenchBreach checks that the verification finds a change that somebody makes to the benchmark's history.
func TestBenchBreach(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		bench := p.begin(t, "bench", "--tasks", "1", "--history", "52", "--sleep", "5s")
		dbtest.Eventually(t, "the history has been written", func() bool { return p.eventsThere(t) > 52 })
		d := dbtest.Open(t, p.url)
		err := d.Transaction(db.WithTenant(t.Context(), p.tenants(t)[0]), func(tx db.Tx) error {
			_, err := tx.Exec(`UPDATE {pipeline_executions} SET error = 'by hand' WHERE status = 'Completed'`, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		r := bench.wait(t)
		if m := decode[measurement](t, r.stdout); r.code != 1 || m.Verified["breaches"] == 0 {
			t.Errorf("exit code %d, verified %v", r.code, m.Verified)
		}
		contains(t, r.stderr, "I2 faithful")
		p.leavesNothing(t)
	})
}

func TestBenchUsage(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.EmptySQLiteURL(t)}
	for _, c := range []struct{ args, words []string }{
		{[]string{"--shape", "spiral"}, []string{"expected one of single, chain, wide, diamond, fan-in, layers"}},
		{[]string{"--shape", "chian"}, []string{`did you mean`, `chain`}},
		{[]string{"--tasks", "0"}, []string{"expected a whole number from 1"}},
		{[]string{"--tasks", "many"}, []string{"expected a whole number from 1"}},
		{[]string{"--processes", "0"}, []string{"expected a whole number from 1"}},
		{[]string{"--workers", "-1"}, []string{"expected a whole number from 1"}},
		{[]string{"--payload", "2000000"}, []string{"expected a whole number from 0 to 1048576"}},
		{[]string{"--rate", "0"}, []string{"expected a number from 0.001 to 1e+06"}},
		{[]string{"--rate", "NaN"}, []string{"expected a number from"}},
		{[]string{"--sleep", "soon"}, []string{"expected a duration such as"}},
		{[]string{"--length", "5"}, []string{"the shape single has no length"}},
		{[]string{"--shape", "chain", "--width", "5"}, []string{"the shape chain has no width"}},
		{
			[]string{"--shape", "wide", "--width", "100001"},
			[]string{"the run is too large", "choose a smaller --length or --width"},
		},
		{[]string{"--cpu-profile", "/nowhere/at/all"}, []string{"/nowhere/at/all: no such file or directory"}},
		{[]string{"-o", "xml"}, []string{"expected one of table, json"}},
		{[]string{"chain"}, []string{"unexpected argument"}},
	} {
		p.fails(t, 2, c.words, append([]string{"bench"}, c.args...)...)
	}
	entries, err := os.ReadDir(filepath.Dir(strings.TrimPrefix(p.url, "sqlite://")))
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	gone := &program{url: "postgres://nobody@127.0.0.1:1/none?sslmode=disable"}
	gone.fails(t, 4, []string{"database unreachable"}, "bench")
}

// TestBenchWithoutSchema checks that a benchmark runs on a database without a schema, and leaves it without one.
func TestBenchWithoutSchema(t *testing.T) {
	t.Parallel()
	dbtest.EachEmpty(t, func(t *testing.T, url string) {
		p := &program{url: url}
		if m := decode[measurement](t, p.ok(t, "bench", "--tasks", "10", "--tenant", "ignored")); m.Tasks != 10 {
			t.Errorf("%+v", m)
		}
		p.leavesNothing(t)
		if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
			if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 0 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		}
	})
}

// bench starts a benchmark as a separate process, which can start further ones.
func (p *program) bench(t *testing.T, args ...string) (cmd *exec.Cmd, stdout, stderr *watched) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr = &watched{}, &watched{}
	cmd = exec.Command(self, append([]string{"--database-url", p.url, "bench"}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = append(os.Environ(), asProgram+"=1"), stdout, stderr, time.Minute
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(t, cmd) })
	return cmd, stdout, stderr
}

// workersIn lists the process ids of the workers in the tenant of the running benchmark.
func (p *program) workersIn(t *testing.T) (pids []int) {
	t.Helper()
	d := dbtest.Open(t, p.url)
	for _, name := range p.tenants(t) {
		err := d.Query(db.WithTenant(t.Context(), name), `SELECT pid FROM {workers}`, nil,
			func(scan db.Scan) error {
				var pid int
				err := scan(&pid)
				pids = append(pids, pid)
				return err
			})
		if err != nil {
			return nil // its tables do not exist yet
		}
	}
	return pids
}

// TestBenchProcesses checks that several processes share the work, and that one document describes the work of all.
func TestBenchProcesses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		cmd, stdout, stderr := p.bench(t, "--processes", "3", "--workers", "2", "--sleep", "20ms", "--tasks", "120",
			"--shape", "chain", "--length", "2", "--payload", "50")
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		m := decode[measurement](t, stdout.String())
		if m.Tasks != 120 || m.Events != 5*120+2*60 || m.Verified["breaches"] != 0 || m.ReadyToStart.Count != 120 ||
			m.Step.Count != 60 {
			t.Errorf("%+v", m)
		}
		// One process with two slots would need at least 1.2 s for that.
		if m.Settings["processes"] != 3. || m.Transactions < 60 {
			t.Errorf("settings %v, %d transactions", m.Settings, m.Transactions)
		}
		p.leavesNothing(t)
	})
}

// TestBenchProcessesEnd checks that no process is left, however the first or another one ends, and that only a kill
// of the first leaves the tenant.
func TestBenchProcessesEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end   func(first *os.Process, pids []int) error
		words string
	}{
		"interrupt": {func(first *os.Process, _ []int) error { return first.Signal(os.Interrupt) }, "interrupted"},
		"a helper is killed": {func(first *os.Process, pids []int) error {
			i := slices.IndexFunc(pids, func(pid int) bool { return pid != first.Pid })
			helper, err := os.FindProcess(pids[i])
			if err != nil {
				return err
			}
			return helper.Kill()
		}, "a further process of the benchmark has ended early"},
		"the first is killed": {func(first *os.Process, _ []int) error { return first.Kill() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, p *program) {
				cmd, stdout, stderr := p.bench(t, "--processes", "2", "--sleep", "1h")
				var pids []int
				dbtest.Eventually(t, "both work", func() bool {
					pids = p.workersIn(t)
					return len(pids) == 2 && p.eventsThere(t) > 0
				})
				if err := c.end(cmd.Process, pids); err != nil {
					t.Fatal(err)
				}
				if err := cmd.Wait(); err == nil || stdout.String() != "" {
					t.Errorf("%v: %s", err, stdout)
				}
				contains(t, stderr.String(), c.words)
				if c.words != "" {
					p.leavesNothing(t)
				}
				for _, pid := range pids {
					dbtest.Eventually(t, "its processes end", func() bool { return gone(pid) })
				}
			})
		})
	}
}

// gone reports whether a process no longer runs. A zombie counts as gone.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
