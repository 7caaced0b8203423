package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// proxy is between the workers and PostgreSQL. It can cut a link at the worst moment, around a COMMIT.
type proxy struct {
	listener net.Listener
	target   string
	orders   chan *cut // at most one

	mu    sync.Mutex
	links map[*link]bool // nil once closed
	all   sync.WaitGroup
}

// cut is an order to cut the link with the next COMMIT.
type cut struct {
	after bool          // let the server receive it and drop its answer; otherwise the server never receives it
	done  chan struct{} // closed once the link is cut
}

// link is one connection of a worker.
type link struct {
	client, server net.Conn
	pending        atomic.Pointer[cut] // the server's next message is not for the client
}

func startProxy(ctx context.Context, target string) (*proxy, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the proxy: %w", err)
	}
	p := &proxy{listener: l, target: target, orders: make(chan *cut, 1), links: map[*link]bool{}}
	p.all.Go(func() { p.accept(ctx) })
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := new(net.Dialer).DialContext(ctx, "tcp", p.target)
		if err != nil {
			_ = client.Close() // the server is down, and so is this link
			continue
		}
		l := &link{client: client, server: server}
		if !p.add(l) {
			l.close()
			return
		}
		p.all.Go(func() { p.up(l) })
		p.all.Go(func() { p.down(l) })
	}
}

// add adds a link, unless the proxy has been closed.
func (p *proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.links == nil {
		return false
	}
	p.links[l] = true
	return true
}

// close cuts all links and waits for their goroutines.
func (p *proxy) close() error {
	err := p.listener.Close()
	p.mu.Lock()
	for l := range p.links {
		l.close()
	}
	p.links = nil
	p.mu.Unlock()
	p.all.Wait()
	return err
}

func (p *proxy) drop(l *link) {
	l.close()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// close may be called twice. It ignores that the other side closed first.
func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// down forwards the server's messages to the client.
func (p *proxy) down(l *link) {
	defer p.drop(l)
	buf := make([]byte, 64<<10)
	for {
		n, err := l.server.Read(buf)
		if c := l.pending.Load(); c != nil && n > 0 {
			close(c.done)
			return
		}
		if n > 0 {
			if _, err := l.client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

var errCut = errors.New("cut as ordered")

// up forwards the client's messages to the server one by one, so that it sees a COMMIT before the server does.
func (p *proxy) up(l *link) {
	defer p.drop(l)
	in := bufio.NewReaderSize(l.client, 64<<10)
	out := bufio.NewWriterSize(l.server, 64<<10)
	// The first message has no type, so its length comes first.
	if err := forward(in, out, 0); err != nil {
		return
	}
	for {
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return
			}
		}
		if isCommit(in) {
			if err := p.commit(l, out); err != nil {
				return
			}
		}
		if err := forward(in, out, 1); err != nil {
			return
		}
	}
}

// commit executes an order to cut, if there is one.
func (p *proxy) commit(l *link, out *bufio.Writer) error {
	select {
	case c := <-p.orders:
		if !c.after {
			l.close()
			close(c.done)
			return errCut
		}
		// Everything before the COMMIT has been answered, because a client waits for each answer within a
		// transaction. This includes what is in out.
		l.pending.Store(c)
		return nil
	default:
		return nil
	}
}

// isCommit reports whether the next message is a simple query with only the word commit.
func isCommit(in *bufio.Reader) bool {
	head, err := in.Peek(5)
	if err != nil || head[0] != 'Q' {
		return false
	}
	const longest = 16
	size := int(binary.BigEndian.Uint32(head[1:])) + 1
	if size > 5+longest {
		return false
	}
	message, err := in.Peek(size)
	return err == nil && bytes.EqualFold(bytes.Trim(message[5:], "\x00; "), []byte("commit"))
}

// forward copies one message, whose length follows after the given number of bytes.
func forward(in *bufio.Reader, out *bufio.Writer, before int) error {
	head, err := in.Peek(before + 4)
	if err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(head[before:])) + int64(before)
	if _, err := io.CopyN(out, in, size); err != nil {
		return err
	}
	if in.Buffered() == 0 {
		return out.Flush()
	}
	return nil
}
