package app

import (
	"fmt"
	"strconv"

	"github.com/sluiceworks/sluice/modules/bench"
)

// printBench writes the measurements for people.
func (c *cli) printBench(d benchDocument) {
	rows := [][]string{
		{"database", d.Database + " " + d.ServerVersion},
		{"shape", string(d.Shape)},
		{"tasks", fmt.Sprintf("%d in %s", d.Tasks, counted(int64(d.Runs), "run"))},
		{"seconds", strconv.FormatFloat(d.Seconds, 'f', 2, 64)},
		{"tasks per second", strconv.FormatFloat(d.TasksPerSecond, 'f', 0, 64)},
		{"events", strconv.FormatInt(d.Events, 10)},
		{"transactions", strconv.FormatInt(d.Transactions, 10)},
		{"ready to start", latency(d.ReadyToStart)},
		{"step", latency(d.Step)},
		{"processor time", fmt.Sprintf("%.2f s", d.CPUSeconds) + orNone(d.ServerCPUSeconds, ", the server %.2f s")},
		{"peak memory", fmt.Sprintf("%.0f MiB", float64(d.PeakMemory)/(1<<20))},
		{"per task", fmt.Sprintf("%.0f bytes of data", d.DataPerTask) + orNone(d.WALPerTask, ", %.0f bytes of log")},
		{"processes", fmt.Sprintf("%d of %d slots, GOMAXPROCS %d", d.Settings.Processes, d.Settings.Workers,
			d.GOMAXPROCS)},
		{"verified", fmt.Sprintf("%s, %s, %d breaches", counted(int64(d.Verified.Tasks), "task"),
			counted(int64(d.Verified.Events), "event"), d.Verified.Breaches)},
	}
	printTable(c.stdout, []string{"measured", "value"}, rows)
}

func latency(l *bench.Latency) string {
	if l == nil {
		return "none"
	}
	return fmt.Sprintf("%.1f ms median, %.1f 90%%, %.1f 99%%, %.1f longest", l.P50, l.P90, l.P99, l.Max)
}

func orNone(v *float64, format string) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf(format, *v)
}
