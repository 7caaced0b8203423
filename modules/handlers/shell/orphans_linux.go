package shell

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// owns reports whether a live process belongs to the attempt. It does if it is in the command's session or was
// started with the attempt's variables.
func (o *owner) owns(pid int) answer {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return no // it has ended
	}
	// The format is: pid (name) state parent group session … The name may contain any character.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	switch {
	case len(fields) < 4, bytes.ContainsAny(fields[0], "ZX"):
		return no
	case string(fields[3]) == strconv.Itoa(o.session):
		return yes
	}
	line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return no
	}
	// Before execve has set up the environment, both the environment and the command line are empty. The command line
	// must be read first: if the environment were read first, it could be empty although the command line is not.
	environ, err := os.ReadFile(filepath.Join(dir, "environ"))
	switch {
	case err != nil:
		return no // it has ended, or this process may not read it
	case len(environ) == 0 && len(line) == 0:
		return unknown
	}
	environ = append([]byte{0}, environ...)
	for _, mark := range o.marks {
		if !bytes.Contains(environ, []byte("\x00"+mark+"\x00")) {
			return no
		}
	}
	return yes
}

// signal sends the signals to a process and reports whether the process accepted them. It checks the owner again
// after it has opened the process, so that a process that reuses the id of a dead one receives nothing.
func (o *owner) signal(pid int, signals []syscall.Signal) bool {
	process, err := os.FindProcess(pid) // a handle on the process, not its id, where the kernel supports it
	if err != nil {
		return false
	}
	defer func() { _ = process.Release() }()
	if o.owns(pid) != yes {
		return false
	}
	for _, s := range signals {
		if process.Signal(s) != nil {
			return false // it has ended, or it belongs to another user
		}
	}
	return true
}
