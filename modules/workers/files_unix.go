package workers

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// filesKept is how many file descriptors are left to the database's connections, the health server and the start of
// programs.
const filesKept = 40

// filesForTasks is how many file descriptors this process may open for tasks, by its limit and by what is open now.
func filesForTasks() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	open := 0
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if list, err := os.ReadDir(dir); err == nil {
			open = len(list)
			break
		}
	}
	return int(limit.Cur) - open - filesKept //nolint:gosec // bounded above
}
