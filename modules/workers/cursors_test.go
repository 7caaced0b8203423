package workers

import (
	"strconv"
	"testing"
)

// TestCursorsBelongToTheirHandlers: polls for different handlers do not share cursors, polls for the same ones do, and
// the number of cursors is limited.
func TestCursorsBelongToTheirHandlers(t *testing.T) {
	p := &Pool{}
	all, one := p.cursorsFor([]string{"http", "shell"}), p.cursorsFor([]string{"http"})
	if all == one || all == nil {
		t.Error("polls for different handlers share cursors")
	}
	if p.cursorsFor([]string{"http", "shell"}) != all {
		t.Error("a second poll for the same handlers has other cursors")
	}
	for i := range 10 * maxCursors {
		p.cursorsFor([]string{strconv.Itoa(i)})
	}
	if len(p.cursors) > maxCursors {
		t.Errorf("%d cursors are kept", len(p.cursors))
	}
	p.resetCursors()
	if p.cursorsFor([]string{"http"}) == one {
		t.Error("a reset keeps cursors")
	}
}
