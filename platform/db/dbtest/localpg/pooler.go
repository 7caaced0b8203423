package localpg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Pooler is a running PgBouncer in front of a server.
type Pooler struct {
	url string
	dir string
	cmd *exec.Cmd
}

// StartPooler starts PgBouncer in front of the server that the URL names. Its settings are the defaults, except for
// the pool mode ("session" or "transaction"). If the program is missing, StartPooler returns ErrNotInstalled.
func StartPooler(ctx context.Context, serverURL, mode string) (*Pooler, error) {
	program, err := findPooler()
	if err != nil {
		return nil, err
	}
	server, err := url.Parse(serverURL)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgb")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "pgbouncer.ini")
	// auth_type any ignores the client's user, so the server's user is named here.
	content := fmt.Sprintf(`[databases]
* = host=%s port=%s user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = %s
`, server.Hostname(), server.Port(), superuser, port, mode)
	if err := os.WriteFile(config, []byte(content), 0o644); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	cmd := exec.Command(program, "-q", config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	server.Host = net.JoinHostPort("127.0.0.1", port)
	p := &Pooler{url: server.String(), dir: dir, cmd: cmd}
	if err := p.await(ctx, server.Host); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// URL returns the server's URL through the pooler.
func (p *Pooler) URL() string { return p.url }

// Stop kills the pooler and waits for its end.
func (p *Pooler) Stop() error {
	err := p.cmd.Process.Kill()
	_ = p.cmd.Wait() // reports the kill
	return errors.Join(err, os.RemoveAll(p.dir))
}

func (p *Pooler) await(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, starting)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-ctx.Done():
			return fmt.Errorf("the pooler does not accept connections: %w", err)
		case <-timer.C:
		}
	}
}

func findPooler() (string, error) {
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		return path, nil
	}
	const debian = "/usr/sbin/pgbouncer"
	if _, err := os.Stat(debian); err == nil {
		return debian, nil
	}
	return "", fmt.Errorf("%w: pgbouncer (Debian: apt-get install pgbouncer)", ErrNotInstalled)
}
