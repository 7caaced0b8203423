package shell

import (
	"syscall"
	"time"
)

const (
	// orphanPoll is the interval at which a command's orphans are listed during the grace period.
	orphanPoll = 20 * time.Millisecond
	// orphanPause is the first pause while killed orphans die. The pause doubles up to orphanPoll.
	orphanPause = time.Millisecond
	// orphanLimit bounds how long the end of an attempt waits for killed orphans to die. One that is stuck in the
	// kernel dies later.
	orphanLimit = time.Second
)

// owner identifies the processes of one attempt.
type owner struct {
	session int      // of the command, which is its process id
	marks   []string // NAME=value; only processes of this attempt have all of them
	list    func() []int
}

// signalOrphans sends the signals to each inherited process that belongs to the attempt, except those in asked, and
// adds them to asked. It returns the number of the attempt's live processes. A process that is just being started is
// counted too, because its owner cannot be determined yet.
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

// killOrphans kills the attempt's orphans until none is left, because a killed orphan may leave orphans of its own.
// It stops after orphanLimit.
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
