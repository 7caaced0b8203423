package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sluiceworks/sluice/modules/workers"
)

// The measuring process and its helpers exchange lines over the helpers' standard input and output. A helper ends at
// the end of its input, so that it does not outlive the measuring process.
const (
	askObserve = "observe"
	askAccount = "account"
)

// message is a line from a helper.
type message struct {
	Done     int64    `json:"done,omitempty"` // tasks since the last message
	Failure  string   `json:"failure,omitempty"`
	Answered string   `json:"answered,omitempty"` // the request; askJoin comes without one
	Account  *Account `json:"account,omitempty"`
}

const askJoin = "join" // answered once, when the helper has joined

// reportInterval is the minimum time between two progress messages of a helper.
const reportInterval = 5 * time.Millisecond

// helper is the helper's end of the connection; peer is the other end.
type helper struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (h *helper) say(m message) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.out.Encode(m); err != nil {
		return fmt.Errorf("tell the benchmark's first process: %w", err)
	}
	return nil
}

// Attend takes part in another process's benchmark as a helper, until in ends or ctx ends. It reads requests from in
// and writes messages to out.
func Attend(
	ctx context.Context, deps workers.Deps, slots int, handler *Handler, in io.Reader, out io.Writer,
) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &helper{out: json.NewEncoder(out)}
	t := newTally()
	m, err := join(ctx, deps, slots, handler, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.leave()) }()
	if err := h.say(message{Answered: askJoin}); err != nil {
		return err
	}
	reporting := make(chan error, 1)
	go func() { reporting <- h.reportProgress(ctx, t) }()
	asked := make(chan string)
	go read(ctx, in, asked)
	for {
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), <-reporting)
		case err := <-reporting:
			return err
		case request, open := <-asked:
			if !open {
				cancel()
				return <-reporting
			}
			if err := h.answer(ctx, m, request); err != nil {
				return err
			}
		}
	}
}

// read sends the lines of in to asked, and closes asked at the end.
func read(ctx context.Context, in io.Reader, asked chan<- string) {
	defer close(asked)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		select {
		case asked <- lines.Text():
		case <-ctx.Done():
			return
		}
	}
}

func (h *helper) answer(ctx context.Context, m *Member, request string) error {
	reply := message{Answered: request}
	switch request {
	case askObserve:
		if err := m.observe(ctx); err != nil {
			return err
		}
	case askAccount:
		a, err := m.account(ctx)
		if err != nil {
			return err
		}
		reply.Account = &a
	default:
		return fmt.Errorf("the benchmark's first process asks for %q, which this one does not know", request)
	}
	return h.say(reply)
}

// reportProgress reports progress until ctx ends. If the benchmark has failed in this process, it reports the failure
// and returns.
func (h *helper) reportProgress(ctx context.Context, t *counter) error {
	notified := int64(0)
	for ctx.Err() == nil {
		if err := t.await(ctx, notified+1); err != nil {
			if ctx.Err() == nil {
				return h.say(message{Failure: err.Error()})
			}
			break
		}
		n := t.count()
		if err := h.say(message{Done: n - notified}); err != nil {
			return err
		}
		notified = n
		_ = pause(ctx, reportInterval) // if ctx has ended, so does the loop
	}
	return nil
}
