package workers_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestPoolHealsAfterOutages: all its connections are cut again and again while it works, and nothing is lost or done
// half.
func TestPoolHealsAfterOutages(t *testing.T) {
	t.Parallel()
	const n, cuts = 300, 10
	u := dbtest.PostgresURL(t)
	s, admin := enginetest.New(t, dbtest.Open(t, u), &enginetest.Scripted{}), dbtest.Open(t, u)
	t.Cleanup(func() { audittest.Check(t, admin) })
	ctx := context.Background()
	list := wideTasks(n, "scripted")
	for i := range list {
		if i > 0 && i%3 == 0 {
			list[i].Needs = []string{list[i-1].ID}
		}
	}
	id := s.Start(t, ctx, s.Define(t, "outage", list...), "")
	watch := enginetest.New(t, admin, &enginetest.Scripted{})
	observed(t, s, workers.Config{Slots: 8, Poll: 10 * time.Millisecond, Lease: time.Second})
	for i := range cuts {
		watch.Until(t, ctx, id, func(e pipelines.Execution) bool { return e.OpenTasks < n-i*n/cuts })
		cut(t, admin)
	}
	if e := watch.Wait(t, ctx, id); e.Status != pipelines.Completed {
		t.Errorf("status %s: %s", e.Status, e.Error)
	}
}

// cut ends all other connections to the database, as soon as there are any.
func cut(t *testing.T, admin *db.DB) {
	t.Helper()
	for ended := 0; ended == 0; {
		must(t, admin.Query(t.Context(), `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND application_name = 'sluice' AND pid <> pg_catalog.pg_backend_pid()`,
			nil,
			func(scan db.Scan) error {
				var ok bool
				ended++
				return scan(&ok)
			}))
	}
}

// TestPoolHealsAfterLostAnswer: the answer to a claim's commit is lost on its way. The tasks are Running in the name of
// a worker that lives and does not know; they run all the same.
func TestPoolHealsAfterLostAnswer(t *testing.T) {
	t.Parallel()
	direct := dbtest.PostgresURL(t)
	line := newLine(t, direct)
	s, watch := enginetest.New(t, dbtest.Open(t, line.url), &enginetest.Scripted{}),
		enginetest.New(t, dbtest.Open(t, direct), &enginetest.Scripted{})
	t.Cleanup(func() { audittest.Check(t, watch.DB) })
	ctx := context.Background()
	id := watch.Start(t, ctx, s.Define(t, "lost", step("a", nil), step("b", []string{"a"})), "")
	line.armed.Store(true)
	s.Work(t, ctx, workers.Config{Slots: 4, Poll: 10 * time.Millisecond, Lease: time.Second})
	if e := watch.Wait(t, ctx, id); e.Status != pipelines.Completed {
		t.Errorf("status %s: %s", e.Status, e.Error)
	}
	if line.armed.Load() {
		t.Error("no claim's answer was lost")
	}
	if x := taskRow(t, watch, id, "a"); x.Status != tasks.Completed {
		t.Errorf("task %s", x.Status)
	}
}

// line is a wire to the database that, once armed, loses the answer to the commit of the next claim.
type line struct {
	url   string
	armed atomic.Bool
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	u, err := url.Parse(to)
	must(t, err)
	server := u.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	u.Host = listener.Addr().String()
	l := &line{url: u.String()}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed at the end of the test
			}
			far, err := net.Dial("tcp", server)
			if err != nil {
				t.Errorf("the line: %v", errors.Join(err, client.Close()))
				return
			}
			open.Go(func() { l.carry(client, far) })
		}
	})
	t.Cleanup(func() {
		must(t, listener.Close())
		open.Wait()
	})
	return l
}

// carry joins two connections until either ends.
func (l *line) carry(client, far net.Conn) {
	var lose atomic.Bool
	var back sync.WaitGroup
	back.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, err := far.Read(b)
			if err != nil || lose.Load() {
				break // the server has answered, and the client does not hear it
			}
			if _, err := client.Write(b[:n]); err != nil {
				break
			}
		}
		_, _ = client.Close(), far.Close()
	})
	b, claiming := make([]byte, 1<<16), false
	for {
		n, err := client.Read(b)
		if err != nil {
			break
		}
		claiming = claiming || bytes.Contains(b[:n], []byte("task_claimed"))
		if claiming && bytes.Contains(b[:n], []byte("commit")) && l.armed.CompareAndSwap(true, false) {
			lose.Store(true)
		}
		if _, err := far.Write(b[:n]); err != nil {
			break
		}
	}
	_, _ = client.Close(), far.Close()
	back.Wait()
}
