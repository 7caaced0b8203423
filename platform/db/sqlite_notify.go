package db

import (
	"context"
	"errors"
	"net/url"
	"time"

	"gorm.io/gorm"
)

// glance is how often a process looks whether another has written to the file. The look reads a counter in shared memory and
// no table: some microseconds. A process that looks at many files looks at each less often.
const glance = 20 * time.Millisecond

// glances is how many files are looked at as often as one.
const glances = 10

// listen notices commits of any connection but its own; SQLite has nothing else to tell.
func (l *sqlite) listen(ctx context.Context, tenant, _ string, heard func(topic)) (err error) {
	if tenant == allTenants {
		<-ctx.Done()
		return nil
	}
	l.listeners.Add(1)
	defer l.listeners.Add(-1)
	s := l.sqlOpen(tenant, url.Values{"_query_only": {"on"}})
	defer func() { err = errors.Join(err, s.Close()) }()
	conn, err := s.Conn(ctx) // the counter is the connection's own
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	timer := time.NewTimer(glance)
	defer timer.Stop()
	last := int64(-1)
	for {
		var version int64
		if err := conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version); err == nil && version != last {
			last = version
			heard("")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			timer.Reset(glance * time.Duration(1+l.listeners.Load()/glances))
		}
	}
}

func (l *sqlite) notify(context.Context, gorm.ConnPool, string, string) error { return nil }

func (l *sqlite) queueNotice(*txState, string, string) {}

// queueTransactionID: none. A commit to a file has no answer that could be lost.
func (l *sqlite) queueTransactionID(*txState) {}

func (l *sqlite) transaction(on *gorm.DB, fn func(*gorm.DB, sender) error) error {
	return on.Transaction(func(g *gorm.DB) error { return fn(g, oneByOne(g)) })
}

func (l *sqlite) committed(_ context.Context, _ witness, cause error) (bool, error) {
	return false, cause
}
