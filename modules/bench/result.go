package bench

import (
	"context"
	"math"
	"runtime"
	"time"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Result is the result of a benchmark. Values that cannot be measured are null.
type Result struct {
	Database       string            `json:"database"` // postgres or sqlite
	ServerVersion  string            `json:"server_version"`
	ServerSettings map[string]string `json:"server_settings"`
	Tenant         string            `json:"tenant"`

	Shape          Shape   `json:"shape"`
	Tasks          int     `json:"tasks"`
	Runs           int     `json:"runs"`
	Seconds        float64 `json:"seconds"` // from the first start to the last commit
	TasksPerSecond float64 `json:"tasks_per_second"`
	// Rates of the first, second and last third of the tasks. They show whether the throughput falls while the queue
	// grows. The first third includes the start.
	Thirds       [3]float64 `json:"thirds_tasks_per_second"`
	Events       int64      `json:"events"`
	Transactions int64      `json:"transactions"` // of all processes; only those that wrote

	// From when a task became ready to the beginning of its handler. A task becomes ready at the beginning of the
	// transaction that made it ready, according to the history.
	ReadyToStart *Latency `json:"ready_to_start_ms"`
	// From the end of the last dependency's handler to the beginning of the task's own handler. Null if no task has
	// dependencies.
	Step *Latency `json:"step_ms"`

	CPUSeconds       float64  `json:"cpu_seconds"`        // user and system, of all benchmark processes
	ServerCPUSeconds *float64 `json:"server_cpu_seconds"` // of a PostgreSQL server on this machine
	PeakMemory       int64    `json:"peak_memory_bytes"`  // resident, maximum of all processes since start
	WALPerTask       *float64 `json:"wal_bytes_per_task"` // all WAL of a PostgreSQL server
	DataPerTask      float64  `json:"database_bytes_per_task"`
	Lost             int64    `json:"claims_lost"`

	Verified   Verified     `json:"verified"`
	Settings   SettingsUsed `json:"settings"`
	GOMAXPROCS int          `json:"gomaxprocs"`
}

// Verified counts what was verified, including data from before the measurement, and the violations found.
type Verified struct {
	Executions int `json:"executions"`
	Tasks      int `json:"tasks"`
	Events     int `json:"events"`
	OutboxRows int `json:"outbox_rows"`
	Breaches   int `json:"breaches"`
}

// SettingsUsed are the settings of the benchmark.
type SettingsUsed struct {
	Length       int     `json:"length"` // 0 if the shape has none; so is Width
	Width        int     `json:"width"`
	Processes    int     `json:"processes"`
	Workers      int     `json:"workers"` // slots of each process
	Payload      int     `json:"payload"`
	SleepMS      float64 `json:"sleep_ms"`
	Rate         float64 `json:"rate"`
	Ahead        int     `json:"ahead"`
	HoldSnapshot bool    `json:"hold_snapshot"`
	Pending      int     `json:"pending"`
	History      int     `json:"history"`
}

// add adds the account of another process.
func (a *Account) add(b Account) {
	a.CPUSeconds += b.CPUSeconds
	a.PeakMemory = max(a.PeakMemory, b.PeakMemory)
	a.Transactions += b.Transactions
	a.LastCommit = max(a.LastCommit, b.LastCommit)
	a.Lost += b.Lost
	a.Samples = append(a.Samples, b.Samples...)
}

func (m measured) result(p Plan, tenant, database string, ready map[task]int64, report audit.Report) Result {
	n, c := float64(p.tasks()), p.config
	seconds := m.ended.Sub(m.began).Seconds()
	observed := calls(m.account.Samples)
	r := Result{
		Database: database, ServerVersion: m.after.Version, ServerSettings: m.after.Settings, Tenant: tenant,
		Shape: c.Shape, Tasks: p.tasks(), Runs: p.runs, Seconds: round(seconds, 1e6),
		TasksPerSecond: round(n/seconds, 10),
		Events:         int64(report.Events) - m.events, Transactions: m.account.Transactions,
		ReadyToStart: summarize(waits(observed, ready)), Step: summarize(steps(observed, p.graph)),
		CPUSeconds: round(m.account.CPUSeconds, 1000), PeakMemory: m.account.PeakMemory,
		DataPerTask: round(float64(m.after.DataBytes-m.before.DataBytes)/n, 10), Lost: m.account.Lost,
		Verified: Verified{report.Executions, report.Tasks, report.Events, report.OutboxRows, len(report.Breaches)},
		Settings: SettingsUsed{
			Processes: max(c.Processes, 1), Workers: c.Slots, Payload: c.Payload,
			SleepMS: float64(c.Sleep) / float64(time.Millisecond),
			Rate:    c.Rate, Ahead: c.Ahead, HoldSnapshot: c.HoldSnapshot, Pending: c.Pending, History: c.History,
		},
		Thirds: m.thirdRates(p), GOMAXPROCS: runtime.GOMAXPROCS(0),
	}
	if c.Shape.HasLength() {
		r.Settings.Length = c.Length
	}
	if c.Shape.HasWidth() {
		r.Settings.Width = c.Width
	}
	if m.after.WALBytes > 0 {
		wal := round(float64(m.after.WALBytes-m.before.WALBytes)/n, 10)
		r.WALPerTask = &wal
	}
	if m.serverReadable {
		server := round(m.server, 100)
		r.ServerCPUSeconds = &server
	}
	return r
}

// thirdRates returns the rate of each third, in tasks per second. If a third took no time, which is possible with few
// tasks, its rate is 0.
func (m measured) thirdRates(p Plan) (rates [3]float64) {
	from, done := m.began, int64(0)
	for i, to := range []time.Time{m.thirds[0], m.thirds[1], m.ended} {
		n := p.third(i+1) - done
		if took := to.Sub(from).Seconds(); took > 0 {
			rates[i] = round(float64(n)/took, 10)
		}
		from, done = to, done+n
	}
	return rates
}

// round rounds v to a multiple of 1/parts. Further digits are below the precision of the measurement.
func round(v, parts float64) float64 { return math.Round(v*parts) / parts }

// readyTimes returns when each task of the observed runs became ready according to the history, in microseconds since
// 1970.
func readyTimes(ctx context.Context, d *db.DB, samples []Sample, perRun int) (map[task]int64, error) {
	const tasksAtOnce = 10_000
	seen := map[dbtype.ID]bool{}
	var ids []dbtype.ID
	for _, s := range samples {
		if !seen[s.Execution] {
			seen[s.Execution] = true
			ids = append(ids, s.Execution)
		}
	}
	ready := make(map[task]int64, len(samples))
	for len(ids) > 0 {
		n := min(max(tasksAtOnce/perRun, 1), len(ids))
		// The CASE hides the condition from the planner. Without statistics, the planner would assume that it selects
		// few events, and would scan for these first.
		err := d.Query(ctx, `SELECT e.pipeline_execution_id, t.task_name, e.created_at FROM $x
JOIN {execution_events} AS e ON e.pipeline_execution_id = x.id
JOIN {task_executions} AS t ON t.id = e.task_execution_id
WHERE CASE WHEN e.event_type = $type AND e.version = 2 THEN true ELSE false END`,
			db.Args{"x": db.IDRows(ids[:n]), "type": string(events.TaskMarkedReady)},
			func(scan db.Scan) error {
				var id dbtype.ID
				var name string
				var at dbtype.Time
				err := scan(&id, &name, &at)
				ready[task{id, indexOf(name)}] = at.UnixMicro()
				return err
			})
		if err != nil {
			return nil, err
		}
		ids = ids[n:]
	}
	return ready, nil
}
