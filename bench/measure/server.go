package measure

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// clockTick is the unit of processor time in /proc on every Linux, in seconds.
const clockTick = 0.01

// ServerCPU is the processor time that a Postgres server has used so far, in seconds: of its first process, of its
// children that run, and of those that have ended. Without a server, pid 0, it is 0.
func ServerCPU(pid int) (float64, error) {
	if pid == 0 {
		return 0, nil
	}
	_, own, children, err := stat(strconv.Itoa(pid))
	if err != nil {
		return 0, fmt.Errorf("read the server's processor time: %w", err)
	}
	ticks := own + children
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, p := range processes {
		// A process that has ended since is in its parent's sum next time.
		if parent, used, _, err := stat(filepath.Base(p)); err == nil && parent == int64(pid) {
			ticks += used
		}
	}
	return float64(ticks) * clockTick, nil
}

// stat reads a line of proc(5): the parent, ticks used, ticks of children that have ended.
func stat(pid string) (parent, own, children int64, err error) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, 0, 0, err
	}
	const fieldsUsed = 15 // after the name, which stands in brackets and may hold anything
	fields := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
	if len(fields) < fieldsUsed {
		return 0, 0, 0, fmt.Errorf("/proc/%s/stat is short: %q", pid, text)
	}
	var n [fieldsUsed]int64
	for i := 1; i < fieldsUsed; i++ { // the first is a letter
		if n[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return 0, 0, 0, err
		}
	}
	return n[1], n[11] + n[12], n[13] + n[14], nil
}
