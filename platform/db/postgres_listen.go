package db

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// silence is after how long without a word a listener asks whether its connection is still there.
const silence = 30 * time.Second

// missed is what subscribers hear after any time in which they may have missed something. No payload is empty.
const missed = ""

// switchboard is the one listening connection of a process, for any number of channels. There is a connection while there is a
// subscriber.
type switchboard struct {
	config *pgx.ConnConfig

	mu   sync.Mutex
	line *line
}

// line is the time from the first subscriber to the last.
type line struct {
	subscribers map[*subscriber]bool
	changed     func() // has the listener look at the subscribers again
	stop        func()
	ended       chan struct{}
}

// subscriber hears what is said on a channel.
type subscriber struct {
	channel string
	heard   func(text string) // must be quick
	told    bool              // that it may have missed something, on the connection that there is
}

func newSwitchboard(config *pgx.ConnConfig) *switchboard { return &switchboard{config: config} }

// listen calls heard for what is said on the channel, until ctx ends.
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
		wanted := s.wanted(l, cancel, first)
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

// wanted gives the channels of the subscribers. On a new connection each of them has missed something. changed will end the wait.
func (s *switchboard) wanted(l *line, changed func(), first bool) map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.changed = changed
	wanted := map[string]bool{}
	for sub := range l.subscribers {
		wanted[sub.channel] = true
		sub.told = sub.told && !first
	}
	return wanted
}

// adjust has the server send what is wanted, and no more.
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

// tell has new subscribers look: what was said before the connection listened for them they have not heard.
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
