package chaos

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/chaos/step"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// call is one attempt on one worker. A deferred attempt has more than one call.
type call struct {
	task    dbtype.ID
	attempt int
	worker  string
}

// calls counts the calls of a handler.
type calls struct {
	starts, ends, ok        int // by the ledger
	started, outcomes, wins int // by the history
}

// ledger is the handlers' own account.
type ledger map[call]*calls

func (l ledger) at(c call) *calls {
	if l[c] == nil {
		l[c] = &calls{}
	}
	return l[c]
}

// readLedgers reads the ledgers of all processes, which are in the given directories.
func readLedgers(folders ...string) (ledger, error) {
	var files []string
	for _, folder := range folders {
		found, err := filepath.Glob(filepath.Join(folder, "*.ledger"))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	l := ledger{}
	for _, path := range files {
		if err := l.read(path); err != nil {
			return nil, fmt.Errorf("ledger %s: %w", path, err)
		}
	}
	return l, nil
}

func (l ledger) read(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var id, worker, how string
		var mark string
		var attempt, pid int
		n, _ := fmt.Sscan(lines.Text(), &mark, &id, &attempt, &worker, &pid, &how)
		task, err := dbtype.ParseID(id)
		if err != nil || n < 5 || mark == "E" && n < 6 {
			return fmt.Errorf("a line that no handler writes: %q", lines.Text())
		}
		c := l.at(call{task, attempt, worker})
		if mark == "S" {
			c.starts++
			continue
		}
		c.ends++
		if how == step.EndOK {
			c.ok++
		}
	}
	return nil
}

// sameName counts the pairs of host and process id that workers of several places had. Only what the program adds to
// a name distinguishes those workers. A ledger's file is named after its place.
func sameName(folder string) (n int, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.ledger"))
	if err != nil {
		return 0, err
	}
	places := map[string]map[string]bool{}
	for _, path := range files {
		doc, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		place, _, _ := strings.Cut(filepath.Base(path), "-")
		for line := range strings.Lines(string(doc)) {
			worker := strings.Fields(line)[3]
			shared := worker[:strings.LastIndex(worker, "-")]
			if places[shared] == nil {
				places[shared] = map[string]bool{}
			}
			places[shared][place] = true
		}
	}
	for _, p := range places {
		if len(p) > 1 {
			n++
		}
	}
	return n, nil
}

// add adds what the history says about the same calls.
func (l ledger) add(h history) {
	for id, list := range h {
		for _, e := range list {
			c := call{id, e.attempt, e.worker}
			switch {
			case e.kind == events.TaskStarted:
				l.at(c).started++
			case e.outcome():
				l.at(c).outcomes++
				if e.kind == events.TaskCompleted {
					l.at(c).wins++
				}
			}
		}
	}
}

// account is the result of comparing ledgers and history.
type account struct {
	Starts  int // calls of handlers, by the ledgers
	Started int // task_started events
	// NeverBegun counts calls started by the history but not by a ledger, because the process died in between, or the
	// answer of its COMMIT was lost.
	NeverBegun int
	Cut        int // begun and not ended: the process died within the handler
}

// excuses are what may make the accounts differ.
type excuses struct {
	ended     map[int]bool // processes that a fault ended, which may not have begun what they had claimed
	links     bool         // links to the database break, so the answer of a claim may be lost
	forgotten bool         // the database has lost its last commits, so handlers may have run without history
}

// compare compares the two accounts.
func (l ledger) compare(x excuses) (a account, breaches []string) {
	for c, n := range l {
		a.Starts += n.starts
		a.Started += n.started
		a.NeverBegun += max(0, n.started-n.starts)
		a.Cut += max(0, n.starts-n.ends)
		say := func(what string) {
			breaches = append(breaches,
				fmt.Sprintf("task %s attempt %d worker %s: %s (%+v)", c.task, c.attempt, c.worker, what, *n))
		}
		switch {
		case n.starts > n.started && !x.forgotten:
			say("a handler ran more often than the history says")
		case n.outcomes > n.starts:
			say("an outcome of a handler that did not run")
		case n.wins > n.ok:
			say("completed, and its handler did not say so")
		case n.started > n.starts && !x.links && !x.ended[processOf(c.worker)]:
			say("a handler never began, though its process lived and its link was whole")
		}
	}
	slices.SortFunc(breaches, cmp.Compare)
	return a, breaches
}

// name matches the end of a worker's name, which consists of the host, the process id, and a unique suffix.
var name = regexp.MustCompile(`-(\d+)-[0-9a-f]+$`)

// processOf returns the process id in a worker's name, or 0 if there is none.
func processOf(worker string) int {
	m := name.FindStringSubmatch(worker)
	if m == nil {
		return 0
	}
	pid, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return pid
}
