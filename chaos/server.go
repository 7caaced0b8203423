package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest/localpg"
)

// server is a PostgreSQL server with the default settings of a production server, including durability. Unlike the
// tests' shared server it can be stopped without warning and started again with its files.
type server struct {
	bin, dir, port string
	folder         string // of the data, in dir
	otherPort      string // for the server that replaces this one
	copies         int    // of the data, made so far
	owner          *syscall.Credential
	settings       []string // further command-line arguments

	busy sync.Mutex // held by a fault that stops the server, until it is running again

	mu   sync.Mutex
	proc *child
}

// Server is a PostgreSQL server for any number of runs, one after the other.
type Server struct {
	server *server
}

// StartServer starts a server with its files in a directory whose parents its user can enter. settings are further
// settings as name=value. The server ends with this process, or by Stop.
func StartServer(ctx context.Context, dir string, settings ...string) (*Server, error) {
	s, err := startServer(ctx, dir, settings)
	if err != nil {
		return nil, err
	}
	return &Server{server: s}, nil
}

// Stop stops the server.
func (s *Server) Stop(ctx context.Context) error { return s.server.stopImmediately(ctx) }

// recovery is how long a server may take to accept connections again, on a busy machine.
const recovery = time.Minute

const superuser = "postgres"

// workerRole is the role of the workers. It has the rights of superuser on all tables, but is subject to limits.
const workerRole = "chaos_worker"

// startServer creates a server in an empty directory, with its data in the subdirectory data.
func startServer(ctx context.Context, dir string, settings []string) (*server, error) {
	bin, err := localpg.Binaries()
	if err != nil {
		return nil, err
	}
	s := &server{bin: bin, dir: dir, folder: "data"}
	for _, setting := range settings {
		s.settings = append(s.settings, "-c", setting)
	}
	if s.owner, err = owner(); err != nil {
		return nil, err
	}
	if s.owner != nil {
		if err := os.Chown(dir, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
			return nil, err
		}
	}
	var other error
	s.port, err = freePort(ctx)
	s.otherPort, other = freePort(ctx)
	if err := errors.Join(err, other); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "--pgdata="+s.data(), "--username="+
		superuser, "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-instructions")
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: s.owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	return s, s.statement(ctx, `CREATE ROLE `+workerRole+` LOGIN IN ROLE `+superuser)
}

// owner returns the user that runs the server, because PostgreSQL refuses root. It is nil if this process is not
// root.
func owner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(superuser)
	if err != nil {
		return nil, fmt.Errorf("whom should the server run as? %w", err)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(errUID, errGID)
}

func freePort(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

func (s *server) data() string    { return filepath.Join(s.dir, s.folder) }
func (s *server) address() string { return net.JoinHostPort("127.0.0.1", s.port) }

// url returns the URL of a database of the server, reached at the given address. application is the connection's
// name.
func (s *server) url(address, role, database, application string) string {
	u := url.URL{Scheme: "postgres", User: url.User(role), Host: address, Path: "/" + database}
	u.RawQuery = url.Values{"sslmode": {"disable"}, "application_name": {application}}.Encode()
	return u.String()
}

// eitherURL is url for whichever of the server's two addresses accepts writes, with asynchronous commits if asked
// for.
func (s *server) eitherURL(database, application string, asynchronous bool) string {
	u := fmt.Sprintf("postgres://%s@%s,127.0.0.1:%s/%s?sslmode=disable&application_name=%s"+
		"&target_session_attrs=read-write", superuser, s.address(), s.otherPort, database, application)
	if asynchronous {
		u += "&synchronous_commit=off"
	}
	return u
}

// start starts the server and waits until it accepts connections.
func (s *server) start(ctx context.Context) error {
	lasting := context.WithoutCancel(ctx)
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has its own descriptor
	args := []string{
		"-D", s.data(), "-k", s.dir, "-p", s.port, "-c", "listen_addresses=127.0.0.1", "-c",
		"max_connections=200",
	}
	cmd := exec.CommandContext(lasting, filepath.Join(s.bin, "postgres"), append(args, s.settings...)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Pdeathsig: syscall.SIGQUIT}
	proc, err := startChild(cmd)
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	s.mu.Lock()
	s.proc = proc
	s.mu.Unlock()
	return s.await(ctx, proc)
}

func (s *server) await(ctx context.Context, proc *child) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		d, err := db.Open(ctx, s.url(s.address(), superuser, "postgres", "chaos-await"))
		if err == nil {
			return d.Close()
		}
		select {
		case <-proc.done:
			return errors.Join(errors.New("the server ended while it started"), s.tail())
		case <-ctx.Done():
			return errors.Join(errors.New("the server accepts no connections"), err, s.tail())
		case <-tick.C:
		}
	}
}

// tail returns the end of the server's log as an error.
func (s *server) tail() error {
	log, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	return fmt.Errorf("its log ends: %s", log[max(0, len(log)-2000):])
}

// stopImmediately does what `pg_ctl stop -m immediate` does: no checkpoint, no orderly disconnects, recovery at the
// next start.
func (s *server) stopImmediately(ctx context.Context) error {
	s.mu.Lock()
	proc := s.proc
	s.mu.Unlock()
	if err := proc.signal(syscall.SIGQUIT); err != nil {
		return err
	}
	select {
	case <-proc.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ended reports whether the server has ended.
func (s *server) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.proc.done:
		return true
	default:
		return false
	}
}

// revive waits until the server accepts connections again, and starts it if it has ended.
func (s *server) revive(ctx context.Context) error {
	if s.ended() {
		return s.start(ctx)
	}
	s.mu.Lock()
	proc := s.proc
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	err := s.await(ctx, proc)
	if err != nil && s.ended() {
		return s.start(ctx) // it ended during the wait
	}
	return err
}

// createDatabase creates an empty database.
func (s *server) createDatabase(ctx context.Context, name string) error {
	return s.tool(ctx, "createdb", name)
}

// dropDatabase removes a database, because each recovery reads the files of all databases.
func (s *server) dropDatabase(ctx context.Context, name string) error {
	return s.tool(ctx, "dropdb", "--force", name)
}

func (s *server) tool(ctx context.Context, program string, args ...string) error {
	args = append([]string{"-h", "127.0.0.1", "-p", s.port, "-U", superuser}, args...)
	if out, err := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}
