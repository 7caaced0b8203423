package db

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// keepAliveInterval is how long a listener waits without a notification before it checks that its connection still
// works.
const keepAliveInterval = 30 * time.Second

// resyncAll is what subscribers receive after any period in which they may have missed something. No payload is empty.
const resyncAll = ""

// listener holds the one listening connection of a process, for any number of channels. The connection exists
// while there is a subscriber.
type listener struct {
	config *pgx.ConnConfig

	mu   sync.Mutex
	line *session
}

// session is the listener that runs from the first subscriber to the last.
type session struct {
	subscribers map[*subscriber]bool
	changed     func() // makes the listener read the subscribers again
	stop        func()
	ended       chan struct{}
	stale       bool // the server that is listened to may no longer be the right one
}

// subscriber receives what is sent on a channel.
type subscriber struct {
	channel  string
	deliver  func(text string) // must not block
	resynced bool              // whether it has received missed on the current connection
}

func newListener(config *pgx.ConnConfig) *listener { return &listener{config: config} }

// listen calls heard for each notification on the channel, until ctx ends.
func (s *listener) listen(ctx context.Context, channel string, handle func(text string)) {
	sub := &subscriber{channel: channel, deliver: handle}
	s.mu.Lock()
	if s.line == nil {
		s.line = s.open(context.WithoutCancel(ctx))
	}
	l := s.line
	l.subscribers[sub] = true
	l.changed()
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	delete(l.subscribers, sub)
	l.changed()
	last := len(l.subscribers) == 0
	if last {
		s.line = nil
		l.stop()
	}
	s.mu.Unlock()
	if last {
		<-l.ended
	}
}

// errStale ends a listening connection on purpose.
var errStale = errors.New("the connection may lead to a server that has been replaced")

// redial makes the listener connect again.
func (s *listener) redial() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != nil {
		s.line.stale = true
		s.line.changed()
	}
}

func (s *listener) open(ctx context.Context) *session {
	ctx, stop := context.WithCancel(ctx)
	l := &session{subscribers: map[*subscriber]bool{}, changed: func() {}, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		for attempt := 1; ctx.Err() == nil; attempt++ {
			if err := s.connect(ctx, l, func() { attempt = 1 }); err != nil && pause(ctx, attempt+4) != nil {
				return
			}
		}
	}()
	return l
}

// connect listens on one connection until it breaks or ctx ends.
func (s *listener) connect(ctx context.Context, l *session, connected func()) (err error) {
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	listening := map[string]bool{}
	for first := true; ; first = false {
		wait, cancel := context.WithTimeout(ctx, keepAliveInterval)
		wanted, stale := s.wanted(l, cancel, first)
		if stale {
			cancel()
			return errStale
		}
		if err := adjust(ctx, conn, listening, wanted); err != nil {
			cancel()
			return err
		}
		connected()
		s.resync(l, listening)
		n, err := conn.WaitForNotification(wait)
		quiet := errors.Is(wait.Err(), context.DeadlineExceeded)
		changed := wait.Err() != nil
		cancel()
		switch {
		case err == nil:
			s.dispatch(l, n.Channel, n.Payload)
		case ctx.Err() != nil:
			return nil
		case quiet:
			ask, cancel := context.WithTimeout(ctx, keepAliveInterval)
			err := conn.Ping(ask)
			cancel()
			if err != nil {
				return err
			}
		case changed:
		default:
			return err
		}
	}
}

// wanted returns the channels of the subscribers, and whether the connection is stale. first marks a new connection,
// on which every subscriber may have missed something. A call of changed ends the wait for notifications.
func (s *listener) wanted(l *session, changed func(), first bool) (wanted map[string]bool, stale bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.changed = changed
	stale, l.stale = l.stale && !first, false
	wanted = map[string]bool{}
	for sub := range l.subscribers {
		wanted[sub.channel] = true
		sub.resynced = sub.resynced && !first
	}
	return wanted, stale
}

// adjust makes the server send notifications of the wanted channels and of no others.
func adjust(ctx context.Context, conn *pgx.Conn, listening, wanted map[string]bool) error {
	statements := ""
	for c := range wanted {
		if !listening[c] {
			statements += "LISTEN " + c + ";"
		}
	}
	for c := range listening {
		if !wanted[c] {
			statements += "UNLISTEN " + c + ";"
		}
	}
	if statements == "" {
		return nil
	}
	if _, err := conn.PgConn().Exec(ctx, statements).ReadAll(); err != nil {
		return err
	}
	clear(listening)
	for c := range wanted {
		listening[c] = true
	}
	return nil
}

// resync calls subscribers that are new on this connection with missed, because notifications may have been sent before
// the connection listened for them.
func (s *listener) resync(l *session, listening map[string]bool) {
	s.mu.Lock()
	var fresh []*subscriber
	for sub := range l.subscribers {
		if !sub.resynced && listening[sub.channel] {
			sub.resynced = true
			fresh = append(fresh, sub)
		}
	}
	s.mu.Unlock()
	for _, sub := range fresh {
		sub.deliver(resyncAll)
	}
}

func (s *listener) dispatch(l *session, channel, text string) {
	s.mu.Lock()
	var to []*subscriber
	for sub := range l.subscribers {
		if sub.channel == channel {
			to = append(to, sub)
		}
	}
	s.mu.Unlock()
	for _, sub := range to {
		sub.deliver(text)
	}
}
