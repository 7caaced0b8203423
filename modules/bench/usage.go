package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// usage returns what this process has used since it started: processor time in seconds, user and system, and the peak
// of its resident memory in bytes.
func usage() (cpu float64, memory int64, err error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0, fmt.Errorf("read this process's usage: %w", err)
	}
	memory = int64(u.Maxrss) //nolint:unconvert // 32 bits wide on some machines
	if runtime.GOOS != "darwin" {
		memory *= 1024 // Linux and the BSDs count in KiB
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(u.Utime) + seconds(u.Stime), memory, nil
}

// clockTick is the unit of processor time in /proc on Linux, in seconds.
const clockTick = 0.01

// serverCPU returns the processor time in seconds that a PostgreSQL server on this machine has used so far: that of its
// main process, of the ended children of the main process, and of the running children. pid is one of the children. ok
// is false if the time cannot be read, because the server runs on another machine, in a container or not on Linux.
func serverCPU(pid int) (seconds float64, ok bool) {
	own, ok := readStat(strconv.Itoa(pid))
	if !ok || own.name != "postgres" {
		return 0, false
	}
	first, ok := readStat(strconv.Itoa(own.parent))
	if !ok || first.name != "postgres" {
		return 0, false
	}
	ticks := first.used + first.children
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, false
	}
	for _, e := range entries {
		if s, ok := readStat(filepath.Base(e)); ok && s.parent == own.parent {
			ticks += s.used
		}
	}
	return float64(ticks) * clockTick, true
}

// stat has fields of /proc/PID/stat, with times in ticks.
type stat struct {
	name           string
	parent         int
	used, children int64 // of the process, and of its children that have ended
}

func readStat(pid string) (s stat, ok bool) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return s, false
	}
	return parseStat(string(text))
}

// parseStat parses a line of /proc/PID/stat, see proc(5). The name is in parentheses and may contain any character.
func parseStat(line string) (s stat, ok bool) {
	from, to := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if from < 0 || to < from {
		return s, false
	}
	s.name = line[from+1 : to]
	fields := strings.Fields(line[to+1:]) // fields[0] is field 3 in proc(5)
	if len(fields) < 15 {
		return s, false
	}
	numbers := make([]int64, 15)
	for i := 1; i < len(numbers); i++ { // fields[0] is the state, a letter
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return s, false
		}
		numbers[i] = n
	}
	s.parent, s.used, s.children = int(numbers[1]), numbers[11]+numbers[12], numbers[13]+numbers[14]
	return s, true
}
