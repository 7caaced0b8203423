//go:build chaos

package chaos

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/platform/db"
)

// TestALinkIsCutAroundACommit checks that a commit that was cut before the server got it does not exist, and that one
// that was cut afterwards does, although its answer was lost.
func TestALinkIsCutAroundACommit(t *testing.T) {
	server := startTestServer(t, scratch(t)).server
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent()) // the server stays
	ctx := t.Context()
	p, err := startProxy(ctx, server.address())
	if err != nil {
		t.Fatal(err)
	}
	direct, err := db.Open(ctx, server.url(server.address(), superuser, "postgres", driverApplication))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		after bool
		want  int
	}{"before": {false, 0}, "after": {true, 1}} {
		through, err := db.Open(ctx, server.url(p.address(), superuser, "postgres", workerApplication))
		if err != nil {
			t.Fatal(err)
		}
		order := &cut{after: test.after, done: make(chan struct{})}
		p.orders <- order
		err = through.Transaction(ctx, func(tx db.Tx) error {
			_, err := tx.Exec(`CREATE TABLE public.cut_`+name+` ()`, db.Args{})
			return err
		})
		if !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("%s: the client was told %v", name, err)
		}
		select {
		case <-order.done:
		case <-time.After(commitTimeout):
			t.Fatal(name, ": nothing was cut")
		}
		n, err := count(ctx, direct, `SELECT COUNT(*) FROM pg_class WHERE relname = 'cut_`+name+`'`, nil)
		if err != nil || n != test.want {
			t.Errorf("%s: %d tables, %v; expected %d", name, n, err, test.want)
		}
		if err := through.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(direct.Close(), p.close(), context.Cause(ctx)); err != nil {
		t.Error(err)
	}
}
