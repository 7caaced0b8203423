package eventstore_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/db/dbtest/localpg"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

var workersConfig = workers.Config{Slots: 4, Poll: 50 * time.Millisecond}

func step(id string, needs ...string) definition.Task {
	return definition.Task{ID: id, Uses: "scripted", Needs: needs}
}

// TestTailThroughCrashes crashes the server three times while writers write. One reader must reconnect by itself and
// return what a full scan returns.
func TestTailThroughCrashes(t *testing.T) {
	t.Parallel()
	d, r := filled(t, serve(t, localpg.Config{Durable: true}), 1)
	writing, stop := context.WithCancel(t.Context())
	var written atomic.Int64
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for writing.Err() == nil {
				err := d.Write(context.WithoutCancel(writing), func(b *db.Batch) error {
					r.Append(b, []events.Event{
						about(dbtype.NewID(), events.TaskClaimed),
						about(dbtype.NewID(), events.TaskFailed),
					})
					return nil
				})
				if err == nil {
					written.Add(1)
				} else if !errors.Is(err, db.ErrUnavailable) && !errors.Is(err, db.ErrCommitUnknown) {
					t.Errorf("write: %v", err)
				}
			}
		})
	}
	var lost, back atomic.Int64
	tailed := follow(t, r, eventstore.Cursor{}, eventstore.TailOptions{Notice: func(n eventstore.Notice) {
		switch n.Kind {
		case eventstore.Disconnected:
			lost.Add(1)
		case eventstore.Reconnected:
			back.Add(1)
		}
	}})
	var got []events.Event
	for crash := range int64(3) {
		from := written.Load()
		for written.Load() < from+50 {
			got = append(got, receive(t, tailed).Event)
		}
		killBackend(t, d)
		for back.Load() == crash {
			select {
			case e := <-tailed:
				got = append(got, e.Event)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	stop()
	ended := make(chan struct{})
	go func() { writers.Wait(); close(ended) }()
	for waiting := true; waiting; {
		select {
		case e := <-tailed:
			got = append(got, e.Event)
		case <-ended:
			waiting = false
		}
	}
	last := about(dbtype.NewID(), events.Annotation)
	add(t, d, r, last)
	for got[len(got)-1].PipelineExecutionID != last.PipelineExecutionID {
		got = append(got, receive(t, tailed).Event)
	}
	sameEvents(t, list(t, r, eventstore.Filter{}), got)
	t.Logf("%d events through %d crashes", len(got), lost.Load())
}

// killBackend kills one of the server's processes, so that the server ends all others and recovers.
func killBackend(t *testing.T, d *db.DB) {
	t.Helper()
	var pid int
	ask := func() error {
		return d.Query(t.Context(), `SELECT pg_backend_pid()`, nil,
			func(scan db.Scan) error { return scan(&pid) })
	}
	err := ask()
	for range 10 {
		if errors.Is(err, db.ErrUnavailable) { // a connection from before the last crash
			err = ask()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// TestTailAndLongTransactions checks that a long transaction that has written no events, or that is in another
// database, does not delay the tail. One that has written events delays the tail, which must report it and lose
// nothing.
func TestTailAndLongTransactions(t *testing.T) {
	t.Parallel()
	d, other := dbtest.Postgres(t), dbtest.Open(t, dbtest.EmptyPostgresURL(t))
	r := eventstore.NewRepository(d)
	for _, where := range []*db.DB{other, d} {
		end := openDoing(t, where, func(tx db.Tx) error {
			return tx.Query(`SELECT pg_current_xact_id()::text`, nil,
				func(scan db.Scan) error { return scan(new(string)) })
		})
		defer end()
	}
	notices := make(chan eventstore.Notice, 100)
	tailed := follow(t, r, eventstore.Cursor{},
		eventstore.TailOptions{Notice: func(n eventstore.Notice) { notices <- n }})
	fill(t, d, r, 1)
	before := receive(t, tailed)
	end := openDoing(t, d, func(tx db.Tx) error {
		b := tx.Batch()
		r.Append(b, []events.Event{about(dbtype.NewID(), events.TaskClaimed)})
		return b.Send()
	})
	fill(t, d, r, 1)
	n := <-notices
	if n.Kind != eventstore.Blocked || n.Lag < 3*time.Second || len(n.Blockers) != 1 {
		t.Fatalf("notice: %+v", n)
	}
	if s := n.Blockers[0]; s.PID == 0 || s.Database == "" || s.State != "idle in transaction" || s.Since.IsZero() ||
		s.Query == "" || s.Hidden() {
		t.Errorf("who holds back: %+v", s)
	}
	select {
	case e := <-tailed:
		t.Errorf("%d came behind %d", e.SequenceNum, before.SequenceNum)
	default:
	}
	end()
	for i := range int64(2) {
		if e := receive(t, tailed); e.SequenceNum != before.SequenceNum+1+i {
			t.Errorf("number %d came", e.SequenceNum)
		}
	}
	if n := <-notices; n.Kind != eventstore.Unblocked {
		t.Errorf("notice: %+v", n)
	}
}

// openDoing begins a transaction that calls do, and returns the function that commits it.
func openDoing(t *testing.T, d *db.DB, do func(db.Tx) error) (end func()) {
	t.Helper()
	did, commit, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- d.Transaction(context.Background(), func(tx db.Tx) error {
			err := do(tx)
			close(did)
			<-commit
			return err
		})
	}()
	<-did
	return func() {
		t.Helper()
		close(commit)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
