package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sluiceworks/sluice/bench/measure"

	"github.com/jackc/pgx/v5"
)

// results are all that was measured: what -out writes and -render reads.
type results struct {
	Began    time.Time                    `json:"began"`
	Scale    float64                      `json:"scale"`
	Rounds   int                          `json:"rounds"`
	Machine  machine                      `json:"machine"`
	Revision string                       `json:"revision"` // of sluice
	Versions string                       `json:"versions"` // of what this program was built with
	Runs     map[string][]measure.Outcome `json:"runs"`     // by round
}

// machine is where it was measured.
type machine struct {
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	MemoryGB float64           `json:"memory_gb"`
	Kernel   string            `json:"kernel"`
	Go       string            `json:"go"`
	Postgres string            `json:"postgres"`
	Settings map[string]string `json:"postgres_settings"`
	SyncMS   float64           `json:"sync_ms"` // median time to write 8 KiB and have them on the disk
}

func (r *results) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	// In one step, so that there is always a whole one.
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func describe(ctx context.Context, admin *pgx.Conn, dir string) (m machine, err error) {
	m = machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Settings: map[string]string{}}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
		}
	}
	var s syscall.Sysinfo_t
	if err := syscall.Sysinfo(&s); err != nil {
		return m, err
	}
	m.MemoryGB = float64(s.Totalram) * float64(s.Unit) / (1 << 30)
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, err
	}
	m.Kernel = strings.TrimSpace(string(kernel))
	for _, name := range []string{
		"server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers",
		"max_wal_size",
	} {
		var value string
		if err := admin.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return m, fmt.Errorf("read the server's settings: %w", err)
		}
		m.Settings[name] = value
	}
	m.Postgres = m.Settings["server_version"]
	delete(m.Settings, "server_version")
	m.SyncMS, err = syncTime(dir)
	return m, err
}

// syncTime measures the disk: with a slow one, engines that commit often fall further behind.
func syncTime(dir string) (ms float64, err error) {
	f, err := os.CreateTemp(dir, "sync")
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // the directory goes in the end
	const times, size = 200, 8192
	all := make([]time.Duration, times)
	for i := range all {
		began := time.Now()
		if _, err := f.WriteAt(make([]byte, size), 0); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		all[i] = time.Since(began)
	}
	slices.Sort(all)
	return float64(all[times/2].Microseconds()) / 1000, nil
}
