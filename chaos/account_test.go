//go:build chaos

package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const (
	alice = "host-11-aaaaaaaaaaaa"
	bob   = "host-22-bbbbbbbbbbbb"
)

// past returns a task's history: claimed, started and ended as given, by one worker.
func past(worker string, attempt int, end events.Type) []event {
	return []event{
		{kind: events.TaskClaimed, worker: worker, attempt: attempt},
		{kind: events.TaskStarted, worker: worker, attempt: attempt},
		{kind: end, worker: worker, attempt: attempt},
	}
}

func TestLedgersAgainstHistory(t *testing.T) {
	t.Parallel()
	killed := excuses{ended: map[int]bool{11: true}}
	for name, test := range map[string]struct {
		ledger  calls
		history []event
		excuse  excuses
		breach  string
	}{
		"as it should be": {
			calls{starts: 1, ends: 1, ok: 1},
			past(alice, 1, events.TaskCompleted),
			excuses{},
			"",
		},
		"ran twice": {
			calls{starts: 2, ends: 2, ok: 2},
			past(alice, 1, events.TaskCompleted), killed,
			"more often than the history",
		},
		"ran without history":   {calls{starts: 1}, nil, killed, "more often than the history"},
		"history lost":          {calls{starts: 1}, nil, excuses{forgotten: true}, ""},
		"outcome without a run": {calls{}, past(alice, 1, events.TaskCompleted), killed, "did not run"},
		"failed without a run":  {calls{}, past(alice, 1, events.TaskFailed), killed, "did not run"},
		"completed after an error": {
			calls{starts: 1, ends: 1},
			past(alice, 1, events.TaskCompleted),
			excuses{},
			"did not say so",
		},
		"never begun, killed":    {calls{}, past(alice, 1, "")[:2], killed, ""},
		"never begun, link cut":  {calls{}, past(alice, 1, "")[:2], excuses{links: true}, ""},
		"never begun, and alive": {calls{}, past(alice, 1, "")[:2], excuses{}, "its process lived"},
	} {
		id := dbtype.NewID()
		l := ledger{}
		*l.at(call{id, 1, alice}) = test.ledger
		l.add(history{id: test.history})
		_, found := l.compare(test.excuse)
		if got := strings.Join(found, "\n"); (got == "") != (test.breach == "") || !strings.Contains(got, test.breach) {
			t.Errorf("%s: found %q, expected %q", name, got, test.breach)
		}
	}
}

func TestZombiesAreFound(t *testing.T) {
	t.Parallel()
	reset := event{kind: events.TaskReset, worker: bob, lost: alice}
	late := event{kind: events.TaskCompleted, worker: alice, attempt: 1}
	claimed := past(alice, 1, "")[:2]
	for name, test := range map[string]struct {
		history []event
		found   int
	}{
		"in order":        {past(alice, 1, events.TaskCompleted), 0},
		"after the reset": {append(append([]event{}, claimed...), reset, late), 1},
		"after another's claim": {append(append(append([]event{}, claimed...), reset),
			append(past(bob, 2, "")[:2], late)...), 1},
		"twice": {append(past(alice, 1, events.TaskCompleted), late), 1},
		"reset, then by another": {append(append(append([]event{}, claimed...), reset),
			past(bob, 2, events.TaskCompleted)...), 0},
	} {
		if got := (history{dbtype.NewID(): test.history}).zombies(); len(got) != test.found {
			t.Errorf("%s: found %v, expected %d", name, got, test.found)
		}
	}
}

func TestClaimsAfterTheLeaseAreFound(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	reset := event{kind: events.TaskReset, cause: lost, lost: alice, at: at}
	for _, test := range []struct {
		by    string
		at    time.Time
		found int
	}{{alice, at.Add(-time.Second), 0}, {alice, at.Add(time.Millisecond), 1}, {bob, at.Add(time.Second), 0}} {
		h := history{
			dbtype.NewID(): {reset},
			dbtype.NewID(): {{kind: events.TaskClaimed, worker: test.by, at: test.at}},
		}
		if got := h.expired(); len(got) != test.found {
			t.Errorf("%+v: found %v", test, got)
		}
	}
}

func TestTakeoverIsMeasuredFromTheKill(t *testing.T) {
	t.Parallel()
	kill := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	taken := func(by string, after time.Duration) []event {
		return []event{
			{kind: events.TaskReset, cause: lost, lost: by, at: kill.Add(after)},
			{kind: events.TaskClaimed, worker: bob, at: kill.Add(after + time.Second)},
		}
	}
	h := history{
		dbtype.NewID(): taken(alice, time.Second),
		dbtype.NewID(): taken(alice, -time.Second), // its lease had expired before
		dbtype.NewID(): taken(bob, time.Second),    // nobody killed it
		dbtype.NewID(): taken(alice, time.Second)[:1],
	}
	ends := map[int]time.Time{11: kill}
	if diff := cmp.Diff([]time.Duration{2 * time.Second}, h.delays(ends, lost, nil)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	away := span{kill.Add(time.Second), kill.Add(3 * time.Second)}
	if got := h.delays(ends, lost, []span{away}); len(got) != 0 {
		t.Error("while the database was away: ", got)
	}
	before := span{kill.Add(-time.Second), kill}
	if got := h.delays(ends, lost, []span{before}); len(got) != 1 {
		t.Error("after the database was away: ", got)
	}
}

func TestWorkersOfOneNameAreCounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for file, workers := range map[string][]string{
		// Processes of the same place do not count.
		"0-1": {"h-1-aa", "h-1-ab"}, "1-2": {"h-1-bb", "h-2-cc"}, "0-3": {"h-3-dd"}, "0-4": {"h-3-ee"},
	} {
		text := ""
		for _, w := range workers {
			text += "S 01a2006f-1437-76fe-9f98-154a90a7bed9 1 " + w + " 1\n"
		}
		if err := os.WriteFile(filepath.Join(dir, file+".ledger"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := sameName(dir); got != 1 || err != nil {
		t.Errorf("got %d, %v, expected 1", got, err)
	}
}

func TestReportsAddUp(t *testing.T) {
	t.Parallel()
	c := Config{Transitions: 10, Refused: 3, Strikes: map[string]int{"kill": 4, "zombie": 1}}
	a := Report{
		Transitions: 6, Refused: 2, Strikes: map[string]int{"kill": 3}, Killed: []Millis{5},
		Breaches: []string{"x"},
	}
	var total Report
	total.Add(a)
	want := []string{"6 of 10 transitions", "2 of 3 writes of zombies", "kill: 3 of 4", "zombie: 0 of 1"}
	if diff := cmp.Diff(want, c.Missing(total)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	share := c.Share(total, 2)
	if share.Transitions != 2 || share.Refused != 1 || share.Strikes["kill"] != 1 || share.Strikes["zombie"] != 1 {
		t.Errorf("the next round's share is %+v", share)
	}
	total.Add(a)
	path := t.TempDir() + "/state.json"
	if err := total.Store(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want = []string{"zombie: 0 of 1"}
	if diff := cmp.Diff(want, c.Missing(loaded)); diff != "" || len(loaded.Breaches) != 2 || len(loaded.Killed) != 2 {
		t.Error("(-want +got)\n", diff, loaded)
	}
	text := loaded.Markdown(c)
	for _, row := range []string{
		"| transitions, each verified | 10 | 12 |", "| kill | 4 | 6 |",
		"| breaches, all kinds together | 0 | 2 |",
	} {
		if !strings.Contains(text, row) {
			t.Errorf("the report has no line %q:\n%s", row, text)
		}
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	list := []Millis{30, 10, 20, 40}
	for share, want := range map[float64]Millis{0: 10, 0.5: 30, 0.99: 40, 1: 40} {
		if got := Percentile(list, share); got != want {
			t.Errorf("%g: got %d, expected %d", share, got, want)
		}
	}
	if got := Percentile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}
