// Command pgserver starts a PostgreSQL server for the time of a command. The command finds the server's URL in its
// environment.
//
//	go run ./platform/db/dbtest/pgserver -- go test ./...
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/sluiceworks/sluice/platform/db/dbtest/localpg"
)

// exitUsage is the exit code of shell commands for wrong usage. exitServer differs from common exit codes, so that a
// failure of the server is not taken for the command's.
const (
	exitUsage  = 2
	exitServer = 125
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	flags := flag.NewFlagSet("pgserver", flag.ContinueOnError)
	urlEnv := flags.String("url-env", "SLUICE_TEST_POSTGRES_URL", "environment variable that gets the server's URL")
	durable := flags.Bool("durable", false, "keep fsync, synchronous_commit and full_page_writes on")
	sharedBuffers := flags.String("shared-buffers", "", "the server's shared_buffers, such as 1GB")
	maxWALSize := flags.String("max-wal-size", "", "the server's max_wal_size, such as 4GB")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if flags.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "pgserver: no command given: pgserver [flags] -- COMMAND [ARGUMENT…]")
		return exitUsage
	}
	cfg := localpg.Config{Durable: *durable, Settings: map[string]string{}}
	for name, value := range map[string]string{"shared_buffers": *sharedBuffers, "max_wal_size": *maxWALSize} {
		if value != "" {
			cfg.Settings[name] = value
		}
	}
	return withServer(cfg, *urlEnv, flags.Args())
}

// withServer returns the command's exit code.
func withServer(cfg localpg.Config, urlEnv string, command []string) int {
	// Signals are caught before the server starts, so that a signal during the start does not leave the server
	// running.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	server, err := localpg.Start(context.Background(), cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, "pgserver:", err)
		return exitServer
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), urlEnv+"="+server.URL())
	code := runForwarding(cmd, signals)
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgserver: stop the server:", err)
		return max(code, exitServer)
	}
	return code
}

// runForwarding runs the command and forwards signals to it.
func runForwarding(cmd *exec.Cmd, signals <-chan os.Signal) int {
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "pgserver:", err)
		return 127
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // fails only if the command has ended
		case err := <-done:
			return exitCode(err)
		}
	}
}

// exitCode returns the command's exit code as a shell does: 128 plus the signal's number if a signal ended the
// command.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "pgserver:", err)
		return 127
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}
