package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// peer is a helper process that takes part in the benchmark, as the measuring process sees it.
type peer struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	tally   *counter
	answers chan message
	ended   chan struct{} // closed when the helper has ended; err is its error
	err     error
}

// helperStopTimeout is how long a helper may take to end before it is killed.
const helperStopTimeout = 20 * time.Second

// begin starts a helper and waits until it has joined. The helper gets a process group of its own, so that an interrupt
// from the terminal reaches only the measuring process, which then ends the helpers.
func begin(ctx context.Context, cmd *exec.Cmd, t *counter) (*peer, error) {
	p := &peer{cmd: cmd, tally: t, answers: make(chan message, 1), ended: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in = in
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a further process: %w", err)
	}
	go p.listen(out)
	if _, err := p.answer(ctx, askJoin); err != nil {
		return nil, errors.Join(err, p.leave())
	}
	return p, nil
}

// listen handles the helper's messages until it ends.
func (p *peer) listen(out io.Reader) {
	defer close(p.ended)
	lines := json.NewDecoder(out)
	for {
		var m message
		if err := lines.Decode(&m); err != nil {
			break
		}
		p.tally.add(m.Done)
		if m.Failure != "" {
			p.tally.fail(fmt.Errorf("a further process: %s", m.Failure))
		}
		if m.Answered != "" {
			p.answers <- m // never blocks, because only one request is in progress at a time
		}
	}
	p.err = p.cmd.Wait()
	p.tally.fail(fmt.Errorf("a further process of the benchmark has ended early: %w",
		errors.Join(errEndedEarly, p.err)))
}

// ask sends a request to the helper and returns its answer.
func (p *peer) ask(ctx context.Context, request string) (message, error) {
	if _, err := io.WriteString(p.in, request+"\n"); err != nil {
		return message{}, fmt.Errorf("ask a further process: %w", err)
	}
	return p.answer(ctx, request)
}

func (p *peer) answer(ctx context.Context, request string) (message, error) {
	select {
	case m := <-p.answers:
		if m.Answered != request {
			return m, fmt.Errorf("a further process answers %q to %q", m.Answered, request)
		}
		return m, nil
	case <-p.ended:
		return message{}, fmt.Errorf("a further process has ended: %w", errors.Join(errEndedEarly, p.err))
	case <-ctx.Done():
		return message{}, ctx.Err()
	}
}

func (p *peer) observe(ctx context.Context) error {
	_, err := p.ask(ctx, askObserve)
	return err
}

func (p *peer) account(ctx context.Context) (Account, error) {
	m, err := p.ask(ctx, askAccount)
	if err != nil {
		return Account{}, err
	}
	return *m.Account, nil
}

// leave closes the helper's input and waits until it has ended. After patience it kills the helper and returns an
// error.
func (p *peer) leave() error {
	closed := p.in.Close()
	timer := time.NewTimer(helperStopTimeout)
	defer timer.Stop()
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("a further process: %w", p.err)
		}
		return closed
	case <-timer.C:
	}
	killed := p.cmd.Process.Kill()
	<-p.ended
	return errors.Join(fmt.Errorf("a further process did not end in %s and was killed", helperStopTimeout), killed)
}
