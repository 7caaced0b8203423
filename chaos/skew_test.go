//go:build chaos

package chaos

import (
	"testing"
	"time"
)

// TestAClockAnHourOffAndTwoProcessesOfOneName runs four processes, of which one has its clock an hour ahead, and the
// first two have the same host name and process id.
func TestAClockAnHourOffAndTwoProcessesOfOneName(t *testing.T) {
	dir := scratch(t)
	skewed, err := BuildSkewed(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	c := small(dir)
	c.Skewed, c.SameName, c.Transitions = skewed, true, 4000
	c.Strikes = map[string]int{"kill": 5, "zombie": 1, "immediate stop": 1}
	report, err := Run(t.Context(), c, startTestServer(t, dir))
	check(t, c, report, err)
	if off := report.Skew.Round(time.Minute); off != Skew {
		t.Errorf("the process whose clock should be %s ahead is %s ahead, by its log", Skew, off)
	}
	if report.SameName == 0 {
		t.Error("no two workers had the same host and process id")
	}
}
