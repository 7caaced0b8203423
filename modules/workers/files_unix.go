package workers

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// filesKept is how many file descriptors are reserved for database connections, the health server and the start of
// programs.
const filesKept = 40

// filesForTasks returns how many more file descriptors this process can open for tasks. The result is the soft limit of
// open files minus the open ones and filesKept; it may be negative. Without a known limit it is math.MaxInt32.
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
