package db

import (
	"context"
	"errors"
	"net/url"
	"time"

	"gorm.io/gorm"
)

// pollInterval is how often a process checks whether another one has written to the file. The check reads a counter in
// shared memory and no table, which takes some microseconds. A process with many files checks each of them less
// often.
const pollInterval = 20 * time.Millisecond

// filesPerPoll is the number of files that are checked as often as a single one.
const filesPerPoll = 10

// listen calls heard after commits of any other connection, because SQLite has no other notification.
func (l *sqlite) listen(ctx context.Context, tenant, _ string, handle func(topic)) (err error) {
	if tenant == allTenants {
		<-ctx.Done()
		return nil
	}
	l.listeners.Add(1)
	defer l.listeners.Add(-1)
	s := l.sqlOpen(tenant, url.Values{"_query_only": {"on"}})
	defer func() { err = errors.Join(err, s.Close()) }()
	conn, err := s.Conn(ctx) // the counter belongs to the connection
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	timer := time.NewTimer(pollInterval)
	defer timer.Stop()
	last := int64(-1)
	for {
		var version int64
		if err := conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version); err == nil && version != last {
			last = version
			handle("")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			timer.Reset(pollInterval * time.Duration(1+l.listeners.Load()/filesPerPoll))
		}
	}
}

func (l *sqlite) notify(context.Context, gorm.ConnPool, string, string) error { return nil }

func (l *sqlite) addNotice(*Batch, string) {}

// addXID does nothing, because the answer of a commit to a file cannot be lost.
func (l *sqlite) addXID(*Batch) {}

func (l *sqlite) transaction(on *gorm.DB, fn func(*gorm.DB, executor) error) error {
	return on.Transaction(func(g *gorm.DB) error { return fn(g, execSequentially(g)) })
}

func (l *sqlite) committed(_ context.Context, _ commitProbe, cause error) (bool, error) {
	return false, cause
}
