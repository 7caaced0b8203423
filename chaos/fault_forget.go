package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// The faults that make a database forget commits that it has answered, while the workers stay alive.
const (
	Crash    = "crash that forgets"
	Failover = "asynchronous failover"
	Restore  = "restore of an older state"
)

// forgetting is how long commits are made that will be forgotten.
const forgetting = 700 * time.Millisecond

// crash kills a server whose commits are asynchronous, with its log still in memory.
type crash struct{}

func (crash) name() string { return Crash }

func (crash) apply(ctx context.Context, r *round) (bool, error) {
	r.server.busy.Lock()
	ctx = context.WithoutCancel(ctx)
	writer, err := count(ctx, r.db, `SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'`, nil)
	if err != nil || writer == 0 {
		return false, nil //nolint:nilerr // the server has only just started
	}
	if err := syscall.Kill(writer, syscall.SIGSTOP); err != nil {
		return false, err
	}
	pause(ctx, forgetting)
	before, asking := logEnd(ctx, r)
	stopping := make(chan error, 1)
	go func() { stopping <- r.server.stopImmediately(ctx) }()
	pause(ctx, 20*time.Millisecond)
	_ = syscall.Kill(writer, syscall.SIGKILL) // a stopped process reacts to nothing else; an ended one needs no signal
	if err := <-stopping; err != nil {
		return false, err
	}
	if err := r.server.start(ctx); err != nil {
		return false, err
	}
	after, err := logEnd(ctx, r)
	return asking == nil && err == nil && after < before, nil
}

func (crash) heal(ctx context.Context, r *round) error {
	defer r.server.busy.Unlock()
	var err error
	if r.server.ended() {
		err = r.server.start(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.back = time.Now()
	return err
}

// logEnd returns where the server's log ends, in bytes.
func logEnd(ctx context.Context, r *round) (n int, err error) {
	err = r.insist(ctx, func() (err error) {
		n, err = count(ctx, r.db, `SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint`, nil)
		return err
	})
	return n, err
}

// failover promotes a standby that has not received the last commits, and kills the primary.
type failover struct{}

func (failover) name() string { return Failover }

func (failover) apply(ctx context.Context, r *round) (bool, error) {
	r.server.busy.Lock()
	ctx = context.WithoutCancel(ctx)
	s := r.server
	stream, err := startProxy(ctx, s.address())
	if err != nil {
		return false, err
	}
	defer func() { _ = stream.close() }() // it is cut already
	standby := &server{
		bin: s.bin, dir: s.dir, folder: s.nextFolder(), port: s.otherPort, otherPort: s.port,
		owner: s.owner, settings: s.settings,
	}
	if err := s.copyTo(ctx, standby.folder, stream.address(), "--write-recovery-conf"); err != nil {
		return false, err
	}
	if err := standby.start(ctx); err != nil {
		return false, err
	}
	if err := s.awaitStandby(ctx, r); err != nil {
		return false, err
	}
	if err := stream.close(); err != nil {
		return false, err
	}
	pause(ctx, forgetting)
	if err := s.stopImmediately(ctx); err != nil {
		return false, err
	}
	if err := standby.statement(ctx, `SELECT pg_promote(true, 60)`); err != nil {
		return false, err
	}
	return true, s.become(standby)
}

func (failover) heal(ctx context.Context, r *round) error { return crash{}.heal(ctx, r) }

// restore replaces the server's files with a copy made some moments before.
type restore struct{}

func (restore) name() string { return Restore }

func (restore) apply(ctx context.Context, r *round) (bool, error) {
	r.server.busy.Lock()
	ctx = context.WithoutCancel(ctx)
	s := r.server
	older := &server{
		bin: s.bin, dir: s.dir, folder: s.nextFolder(), port: s.port, otherPort: s.otherPort,
		owner: s.owner, settings: s.settings,
	}
	if err := s.copyTo(ctx, older.folder, s.address()); err != nil {
		return false, err
	}
	pause(ctx, forgetting)
	if err := s.stopImmediately(ctx); err != nil {
		return false, err
	}
	if err := older.start(ctx); err != nil {
		return false, err
	}
	return true, s.become(older)
}

func (restore) heal(ctx context.Context, r *round) error { return crash{}.heal(ctx, r) }

// nextFolder returns the directory for the next copy of the server's files.
func (s *server) nextFolder() string {
	s.copies++
	return fmt.Sprintf("data%d", s.copies)
}

// copyTo copies the running server's files, reached at an address, into a directory beside its own.
func (s *server) copyTo(ctx context.Context, folder, address string, options ...string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	args := append([]string{
		"-h", host, "-p", port, "-U", superuser, "-D", filepath.Join(s.dir, folder), "--wal-method=stream",
		"--checkpoint=fast", "--no-sync",
	}, options...)
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "pg_basebackup"), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	return nil
}

// statement runs a statement with the server's own client.
func (s *server) statement(ctx context.Context, sql string) error {
	return s.tool(ctx, "psql", "-q", "-d", "postgres", "-c", sql)
}

// awaitStandby waits until a standby receives what the server writes.
func (s *server) awaitStandby(ctx context.Context, r *round) error {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	for {
		n, err := count(ctx, r.db, `SELECT COUNT(*) FROM pg_stat_replication WHERE state = 'streaming'`, nil)
		if err == nil && n > 0 {
			return nil
		}
		if !pause(ctx, again) {
			return errors.Join(errors.New("no standby receives anything"), err)
		}
	}
}

// become replaces the server by another one, and removes the files of the first.
func (s *server) become(other *server) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	former := s.data()
	s.folder, s.port, s.otherPort, s.proc = other.folder, other.port, other.otherPort, other.proc
	return os.RemoveAll(former)
}

// ForgetfulSettings are the settings of a server that forgets commits, because its log stays in memory.
var ForgetfulSettings = []string{"wal_writer_delay=10s", "wal_buffers=64MB", "autovacuum=off", "checkpoint_timeout=1h"}
