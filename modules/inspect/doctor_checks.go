package inspect

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/db"
)

// How long something may last before it is a warning, and before it is bad.
const (
	lagWarn     = 5 * time.Second
	lagBad      = 10 * time.Minute
	overdueWarn = time.Minute
	overdueBad  = time.Hour
)

// Sizes with the same meaning.
const (
	ageWarn     = 10_000_000    // transactions
	ageBad      = 1_000_000_000 // the server stops at two thousand million
	deadWarn    = 100_000       // rows
	deadFactor  = 10            // dead rows per live row
	walWarn     = 256 << 20
	freeWarn    = 1 << 30
	freeBad     = 100 << 20
	maxExamined = 10_000 // outbox rows
)

// workers checks which workers are alive, and whether due tasks have a worker that serves them.
func (p *Doctor) workers(ctx context.Context) ([]Finding, error) {
	f, err := ReadWorkers(ctx, p.db, p.leases, p.tasks)
	if err != nil {
		return nil, err
	}
	alive, expired := 0, 0
	for _, w := range f.workers {
		if f.alive(w) {
			alive++
		} else {
			expired++
		}
	}
	draining := f.draining()
	working := NewFinding("workers", "%d alive, %d with an expired lease", alive, expired)
	if draining > 0 {
		working = NewFinding("workers", "%d alive, of them %d draining, %d with an expired lease",
			alive, draining, expired)
	}
	lost := 0
	for _, list := range f.running {
		for _, t := range list {
			if f.unattended(t) != "" {
				lost++
			}
		}
	}
	switch {
	case lost > 0 && alive == 0:
		working.Found += fmt.Sprintf(", %s of lost workers", Counted(int64(lost), "task"))
		working = working.Bad("start `sluice serve`: nobody takes the tasks of lost workers back")
	case alive == 0:
		working = working.Warn("start `sluice serve`: nobody works")
	case alive == draining:
		working = working.Warn("start `sluice serve`: a worker that is draining claims nothing more")
	case expired > 0:
		working = working.Warn("look at `sluice workers`: a live worker takes their tasks back within a lease")
	}
	stranded, err := p.stranded(ctx, f)
	if err != nil {
		return nil, err
	}
	pending, err := p.pending(ctx, f)
	return []Finding{working, stranded, pending}, err
}

// maxNamed bounds the executions that a finding names.
const maxNamed = 5

// stranded finds running tasks that no live worker holds, and executions whose recovery fails.
func (p *Doctor) stranded(ctx context.Context, f Workers) (Finding, error) {
	list, err := p.leases.Recoveries(ctx)
	if err != nil {
		return Finding{}, err
	}
	var failing []string
	for _, r := range list {
		if r.Attempts > 0 {
			failing = append(failing, fmt.Sprintf("%s (%d of %d tries: %s)", r.PipelineExecutionID, r.Attempts,
				engine.MaxRecoveryAttempts, cmp.Or(string(r.Error), "the recovering process ended")))
		}
	}
	var unheld []string
	for _, running := range f.running {
		for _, t := range running {
			if f.unheld(t) > audit.UnclaimedAfter {
				unheld = append(unheld, fmt.Sprintf("%s of %s", t.TaskName, t.PipelineExecutionID))
			}
		}
	}
	slices.Sort(unheld)
	found := NewFinding("recovery", "%s without a live worker, %d executions whose recovery fails",
		Counted(int64(len(unheld)), "running task"), len(failing))
	named := slices.Concat(failing, unheld)
	if len(named) == 0 {
		return found, nil
	}
	found.Found += ": " + strings.Join(named[:min(len(named), maxNamed)], ", ")
	return found.Warn("a live worker takes these tasks back; an execution that fails each time is abandoned: " +
		"`sluice show ID`, and `sluice cancel ID` ends it now"), nil
}

func (p *Doctor) pending(ctx context.Context, f Workers) (Finding, error) {
	rows, err := p.outbox.ListPending(ctx, maxExamined)
	if err != nil {
		return Finding{}, err
	}
	total, err := p.outbox.CountPending(ctx)
	if err != nil {
		return Finding{}, err
	}
	unserved, oldest := 0, time.Duration(0)
	for _, r := range rows {
		due := f.Now.Sub(r.AvailableAt.Time)
		if due > 0 && !f.served(r.Handler, r.Queue) {
			unserved, oldest = unserved+1, max(oldest, due)
		}
	}
	verb, capped := "wait", ""
	if total == 1 {
		verb = "waits"
	}
	if len(rows) == maxExamined && total > maxExamined {
		capped = " of the first " + strconv.Itoa(maxExamined)
	}
	found := NewFinding("outbox", "%s %s, of those due no live worker serves %d%s",
		Counted(total, "task"), verb, unserved, capped)
	if oldest > overdueWarn {
		found.Found += ", the oldest due for " + Span(oldest)
		advice := "`sluice outbox` says which handler or queue is missing; start `sluice serve` with it"
		if oldest > overdueBad {
			return found.Bad(advice), nil
		}
		return found.Warn(advice), nil
	}
	return found, nil
}

// openTransactions finds the transactions that hold back the tail of events or the vacuum.
func (p *Doctor) openTransactions(ctx context.Context) ([]Finding, error) {
	h, err := p.db.OpenTransactions(ctx, "execution_events")
	if err != nil {
		return nil, err
	}
	lag, age := h.Lag(p.db.Now()), h.Age()
	tail := NewFinding("tail", "%s with events not yet committed, the oldest open for %s",
		Counted(int64(len(h.Blocking)), "transaction"), Span(lag))
	const end = "end the session named below (pg_terminate_backend), or commit what was prepared: " +
		"followers of events wait for it"
	switch {
	case lag > lagBad:
		tail = tail.Bad(end)
	case lag > lagWarn:
		tail = tail.Warn(end)
	case slices.ContainsFunc(h.Blocking, db.Session.Hidden):
		tail.Found += "; when those of other users began is not visible"
		tail = tail.Warn("grant pg_monitor to this user to see it")
	}
	if tail.State != FindingOK {
		tail.Sessions = h.Blocking
	}
	vacuum := NewFinding("transactions", "%d have begun since the oldest that is open", age)
	const dead = "end what is named below: dead rows of the whole server pile up behind it"
	switch {
	case age > ageBad:
		vacuum = vacuum.Bad(dead)
	case age > ageWarn:
		vacuum = vacuum.Warn(dead)
	}
	if vacuum.State != FindingOK {
		vacuum.Sessions = h.OldestSnapshot
	}
	if p.db.Backend() == "sqlite" {
		return nil, nil
	}
	return []Finding{tail, vacuum}, nil
}

// storage checks the use of space.
func (p *Doctor) storage(ctx context.Context) ([]Finding, error) {
	s, err := p.db.Storage(ctx, "task_outbox")
	if err != nil {
		return nil, err
	}
	if p.db.Backend() == "sqlite" {
		return []Finding{examineLog(s), examineDisk(s)}, nil
	}
	since := "never vacuumed"
	if !s.Vacuumed.IsZero() {
		since = "vacuumed " + Span(p.db.Now().Sub(s.Vacuumed.Time)) + " ago"
	}
	dead := NewFinding("vacuum", "the outbox has %d live and %d dead rows, %s", s.LiveRows, s.DeadRows, since)
	if s.DeadRows > deadWarn && s.DeadRows > deadFactor*s.LiveRows {
		dead = dead.Warn("see that autovacuum runs and that nothing holds it back (line transactions); " +
			"VACUUM task_outbox mends it")
	}
	return []Finding{dead}, nil
}

func examineLog(s db.Storage) Finding {
	f := NewFinding("log", "the file's log has %d MiB", s.WALBytes>>20)
	if s.WALBytes > walWarn {
		return f.Warn("a process reads, or has read, for long, so the log could not be folded back: " +
			"it shrinks with the next writes once nobody reads")
	}
	return f
}

func examineDisk(s db.Storage) Finding {
	f := NewFinding("disk", "%d MiB are free", s.Free>>20)
	const advice = "make room: a full disk stops every write"
	switch {
	case s.Free < freeBad:
		return f.Bad(advice)
	case s.Free < freeWarn || s.Free < 2*s.WALBytes:
		return f.Warn(advice)
	}
	return f
}
