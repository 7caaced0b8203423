//go:build chaos

package chaos

import (
	"testing"
	"time"
)

// TestForgottenCommits runs workers through a crash with asynchronous commits, a failover to a standby that is
// behind, and a restore of an older state. No task may stay Running without a worker, and no outcome of a forgotten
// claim may be accepted.
func TestForgottenCommits(t *testing.T) {
	dir := scratch(t)
	c := ForgetfulSize(0.04)
	c.Worker, c.Dir, c.Limit, c.Strikes[Failover], c.Strikes[Restore] = worker, dir, 3*time.Minute, 2, 2
	report, err := Run(t.Context(), c, startTestServer(t, dir, ForgetfulSettings...))
	check(t, c, report, err)
}
