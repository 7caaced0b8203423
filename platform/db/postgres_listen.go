package db

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// silence is how long a listener waits without a notification before it checks that its connection still works.
const silence = 30 * time.Second

// missed is what subscribers receive after any period in which they may have missed something. No payload is empty.
const missed = ""

// switchboard holds the one listening connection of a process, for any number of channels. The connection exists
// while there is a subscriber.
type switchboard struct {
	config *pgx.ConnConfig

	mu   sync.Mutex
	line *line
}

// line is the listener that runs from the first subscriber to the last.
type line struct {
	subscribers map[*subscriber]bool
	changed     func() // makes the listener read the subscribers again
	stop        func()
	ended       chan struct{}
	stale       bool // the server that is listened to may no longer be the right one
}

// subscriber receives what is sent on a channel.
type subscriber struct {
	channel string
	heard   func(text string) // must not block
	told    bool              // whether it has received missed on the current connection
}

func newSwitchboard(config *pgx.ConnConfig) *switchboard { return &switchboard{config: config} }

// listen calls heard for each notification on the channel, until ctx ends.
func (s *switchboard) listen(ctx context.Context, channel string, heard func(text string)) {
	sub := &subscriber{channel: channel, heard: heard}
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
func (s *switchboard) redial() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != nil {
		s.line.stale = true
		s.line.changed()
	}
}

func (s *switchboard) open(ctx context.Context) *line {
	ctx, stop := context.WithCancel(ctx)
	l := &line{subscribers: map[*subscriber]bool{}, changed: func() {}, stop: stop, ended: make(chan struct{})}
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
func (s *switchboard) connect(ctx context.Context, l *line, connected func()) (err error) {
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	listening := map[string]bool{}
	for first := true; ; first = false {
		wait, cancel := context.WithTimeout(ctx, silence)
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
		s.tell(l, listening)
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
			ask, cancel := context.WithTimeout(ctx, silence)
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
func (s *switchboard) wanted(l *line, changed func(), first bool) (wanted map[string]bool, stale bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.changed = changed
	stale, l.stale = l.stale && !first, false
	wanted = map[string]bool{}
	for sub := range l.subscribers {
		wanted[sub.channel] = true
		sub.told = sub.told && !first
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

// tell calls subscribers that are new on this connection with missed, because notifications may have been sent before
// the connection listened for them.
func (s *switchboard) tell(l *line, listening map[string]bool) {
	s.mu.Lock()
	var fresh []*subscriber
	for sub := range l.subscribers {
		if !sub.told && listening[sub.channel] {
			sub.told = true
			fresh = append(fresh, sub)
		}
	}
	s.mu.Unlock()
	for _, sub := range fresh {
		sub.heard(missed)
	}
}

func (s *switchboard) dispatch(l *line, channel, text string) {
	s.mu.Lock()
	var to []*subscriber
	for sub := range l.subscribers {
		if sub.channel == channel {
			to = append(to, sub)
		}
	}
	s.mu.Unlock()
	for _, sub := range to {
		sub.heard(text)
	}
}
