package shell

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// owns tells whether a live process belongs to the attempt: it is in the command's session, or it was started with the attempt's
// variables.
func (o *owner) owns(pid int) answer {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return no // it has ended
	}
	// pid (name) state parent group session …; the name may hold anything
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
	// An environment that is read before execve has set it up is empty, as is the command line then. It must be read after that.
	environ, err := os.ReadFile(filepath.Join(dir, "environ"))
	switch {
	case err != nil:
		return no // it has ended, or it hides from this process
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

// signal sends the signals to a process and reports whether it took them. A process that has got the id of one that is dead gets none.
func (o *owner) signal(pid int, signals []syscall.Signal) bool {
	process, err := os.FindProcess(pid) // holds on to the process, not to its id, where the kernel can
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
