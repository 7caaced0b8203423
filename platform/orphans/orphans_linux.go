package orphans

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Run calls work and returns its result. While work runs, Run reaps orphans on the calling thread, which must be the
// first thread of the process. Call Run from the main goroutine of a program whose init has called
// runtime.LockOSThread, before any process is started. On another thread, Run passes a nil Reaper to work.
func Run(work func(*Reaper) int) int {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Gettid() != os.Getpid() {
		return work(nil)
	}
	return run(work)
}

// Adopt makes this process the parent of orphans, instead of process 1, for as long as it lives.
func (r *Reaper) Adopt() error {
	if r == nil {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a child subreaper: %w", err)
	}
	return nil
}

// reap reaps the ended children of this thread, and reports whether others are left.
func reap() (left bool) {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false // ECHILD: this thread has none
		case pid == 0:
			return true
		}
	}
}

// children returns the children of this thread after reap. No other thread can reap one, so none is missed while they
// are listed.
func children() []int {
	if !reap() {
		return nil
	}
	list, err := os.ReadFile("/proc/thread-self/children")
	if err != nil { // a kernel without CONFIG_PROC_CHILDREN
		return childrenByParent()
	}
	var pids []int
	for _, word := range bytes.Fields(list) {
		if pid, err := strconv.Atoi(string(word)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// childrenByParent reads all processes of the system. Its result includes processes that this process has started
// itself.
func childrenByParent() []int {
	found, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	parent := []byte(strconv.Itoa(os.Getpid()))
	var pids []int
	for _, path := range found {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The format is: pid (name) state parent …; the name may contain any character.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && len(fields) > 1 && bytes.Equal(fields[1], parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}
