package shell

import (
	"syscall"
	"time"
)

const (
	// orphanPoll is how often a command's orphans are looked for while they have the time to end by themselves.
	orphanPoll = 20 * time.Millisecond
	// orphanPause is the first pause, and the longest is orphanPoll, while killed orphans die.
	orphanPause = time.Millisecond
	// orphanLimit bounds how long an attempt's end waits for killed orphans to die. One that the kernel holds dies later.
	orphanLimit = time.Second
)

// owner is an attempt, by what tells its processes from all others.
type owner struct {
	session int      // of the command: its process id
	marks   []string // variables NAME=value that only this attempt's processes have together
	list    func() []int
}

// signalOrphans sends the signals to each process that was left to this one and belongs to the attempt, except to those in asked, to
// which it adds them. It returns how many of the attempt's processes live. One that is just being started counts as its.
func (o *owner) signalOrphans(asked map[int]bool, signals ...syscall.Signal) (live int) {
	if o.list == nil {
		return 0
	}
	for _, pid := range o.list() {
		switch o.owns(pid) {
		case yes:
			if asked[pid] || o.signal(pid, signals) {
				live++
			}
			if asked != nil {
				asked[pid] = true
			}
		case unknown:
			live++
		case no:
		}
	}
	return live
}

// killOrphans kills what the attempt has left behind, and what those leave behind in turn.
func (o *owner) killOrphans() {
	if o.list == nil || o.signalOrphans(nil, syscall.SIGKILL) == 0 {
		return
	}
	limit := time.NewTimer(orphanLimit)
	defer limit.Stop()
	for pause := orphanPause; ; pause = min(2*pause, orphanPoll) {
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-limit.C:
			wait.Stop()
			return
		}
		if o.signalOrphans(nil, syscall.SIGKILL) == 0 {
			return
		}
	}
}

type answer int

const (
	no answer = iota
	yes
	unknown
)
