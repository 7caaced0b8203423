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

// usage is what this process has used since it began: seconds of processor time, user and system, and the most memory
// that was resident at once, in bytes.
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

// clockTick is the unit of processor time in /proc on every Linux.
const clockTick = 0.01

// serverCPU is the processor time that a PostgreSQL server on this machine has used so far, in seconds: that of its
// first process, of the children that this one has seen end, and of those that run. pid is one of these. It reports
// false where that can't be read: the server runs elsewhere, behind a wall, or on another system than Linux.
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

// stat is a process as /proc/PID/stat has it, times in ticks.
type stat struct {
	name           string
	parent         int
	used, children int64 // its own, and that of its children which have ended
}

func readStat(pid string) (s stat, ok bool) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return s, false
	}
	return parseStat(string(text))
}

// parseStat reads a line of proc(5). The name stands in brackets and may hold anything.
func parseStat(line string) (s stat, ok bool) {
	from, to := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if from < 0 || to < from {
		return s, false
	}
	s.name = line[from+1 : to]
	fields := strings.Fields(line[to+1:]) // the third of the manual's fields is the first here
	if len(fields) < 15 {
		return s, false
	}
	numbers := make([]int64, 15)
	for i := 1; i < len(numbers); i++ { // before them comes the state, a letter
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return s, false
		}
		numbers[i] = n
	}
	s.parent, s.used, s.children = int(numbers[1]), numbers[11]+numbers[12], numbers[13]+numbers[14]
	return s, true
}
