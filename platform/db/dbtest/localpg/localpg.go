// Package localpg starts a separate PostgreSQL server from the machine's binaries, for tests and benchmarks. The
// server and its files never outlive the process that started it, however that process ends. It is not for data that
// must be kept.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Config configures a server.
type Config struct {
	// Durable keeps PostgreSQL's defaults for fsync, synchronous_commit and full_page_writes, for benchmarks and
	// crash tests. Otherwise they are off, because a test's database need not survive a power failure.
	Durable bool
	// From is a data directory made by Backup, of which the server uses a copy. If it is empty, the server starts
	// empty.
	From string
	// Settings are further server settings, by name.
	Settings map[string]string
}

// Server is a running server.
type Server struct {
	url   string
	dir   string
	cmd   *exec.Cmd
	hold  *os.File // its end of file makes the supervisor stop the server
	alive *os.File // its end of file, after the end of the log, says that the server has ended
}

// running keeps each server's pipe from the garbage collector. A collected pipe is closed, which would stop a server
// whose owner keeps only its URL.
var running sync.Map

const superuser = "postgres"

// portTaken is in the log if another process took a free port before the server did.
const portTaken = "could not bind IPv4 address"

// starting is how long a server may take to accept connections, on a busy machine.
const starting = 60 * time.Second

// Start starts an empty server, or one from Config.From, and waits until it accepts connections. Without PostgreSQL's
// programs it returns ErrNotInstalled, which says what to install.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	bin, err := Binaries()
	if err != nil {
		return nil, err
	}
	const portsTried = 3
	for attempt := 1; ; attempt++ {
		s, err := startOnce(ctx, bin, cfg)
		if err == nil || attempt == portsTried || !strings.Contains(err.Error(), portTaken) {
			return s, err
		}
	}
}

func startOnce(ctx context.Context, bin string, cfg Config) (*Server, error) {
	// The path must be short, because the name of a Unix socket has at most 107 bytes.
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, fmt.Errorf("make the server's directory: %w", err)
	}
	owner, err := serverUser()
	if err == nil && owner != nil {
		err = os.Chown(dir, int(owner.Uid), int(owner.Gid))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("give %s to the server's user: %w", dir, err), os.RemoveAll(dir))
	}
	if cfg.From != "" {
		err = adopt(cfg.From, dir, owner)
	} else {
		err = initdb(ctx, bin, dir, owner)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s, err := supervise(bin, dir, owner, cfg)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.await(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// initdb makes the data directory. It uses --no-sync because the files need not survive a power failure.
func initdb(ctx context.Context, bin, dir string, owner *syscall.Credential) error {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata="+dataDir(dir), "--username="+superuser,
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

func dataDir(dir string) string { return filepath.Join(dir, "data") }

// supervisor runs the server ("$@") and a watcher that reads from the process that started it. When that process
// ends, even by SIGKILL, the read ends and the watcher stops the server. Then the supervisor prints the end of the
// server's log and removes its directory ($0).
const supervisor = `
exec 3<&0
"$@" </dev/null >"$0/log" 2>&1 3<&- &
server=$!
(read -r _ <&3; kill -QUIT $server) >/dev/null 2>&1 &
watcher=$!
wait $server
kill $watcher 2>/dev/null
tail -n 20 "$0/log"
rm -rf "$0"
`

func supervise(bin, dir string, owner *syscall.Credential, cfg Config) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args := append([]string{"-c", supervisor, dir, filepath.Join(bin, "postgres")}, serverArgs(dir, port, cfg)...)
	cmd := exec.Command("sh", args...)
	cmd.Dir = dir
	// The server gets a session of its own, because an interrupt from the terminal reaches the tests, which may still
	// need it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Setsid: true}
	stdin, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	alive, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, stdin.Close(), hold.Close())
	}
	cmd.Stdin, cmd.Stdout = stdin, stdout
	err = cmd.Start()
	err = errors.Join(err, stdin.Close(), stdout.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the server: %w", err), hold.Close(), alive.Close())
	}
	u := url.URL{
		Scheme: "postgres", User: url.User(superuser), Host: net.JoinHostPort("127.0.0.1", port),
		Path: "/postgres", RawQuery: "sslmode=disable",
	}
	s := &Server{url: u.String(), dir: dir, cmd: cmd, hold: hold, alive: alive}
	running.Store(s, true)
	return s, nil
}

func serverArgs(dir, port string, cfg Config) []string {
	args := []string{
		"-D", dataDir(dir), "-k", dir, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c",
		"max_connections=300",
	}
	if !cfg.Durable {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	for name, value := range cfg.Settings {
		args = append(args, "-c", name+"="+value)
	}
	return args
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// URL returns the superuser's URL of the server's database postgres.
func (s *Server) URL() string { return s.url }

// PID returns the process id of the server's first process, or 0 if it has none.
func (s *Server) PID() int {
	pid := 0
	if b, err := os.ReadFile(filepath.Join(dataDir(s.dir), "postmaster.pid")); err == nil {
		_, _ = fmt.Sscan(string(b), &pid)
	}
	return pid
}

// await tries to connect until it succeeds, the server ends, or the time is up.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, starting)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.url)
		if err == nil {
			return conn.Close(ctx)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the server does not accept connections: %w", err)
		}
		if err := s.ended(20 * time.Millisecond); err != nil {
			return err
		}
	}
}

// ended waits the given time for the end of the server. If the server ended, it returns an error with the end of its
// log.
func (s *Server) ended(wait time.Duration) error {
	if err := s.alive.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	first := make([]byte, 1)
	n, err := s.alive.Read(first)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err := s.alive.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	rest, err := io.ReadAll(s.alive)
	return errors.Join(fmt.Errorf("the server ended while it started; its log ends:\n%s%s", first[:n], rest), err)
}

// Stop stops the server, and waits until it has ended and its files are removed. A process that ends without calling
// Stop leaves nothing behind either.
func (s *Server) Stop() error {
	running.Delete(s)
	err := errors.Join(s.hold.Close(), s.alive.Close())
	return errors.Join(err, s.cmd.Wait())
}
