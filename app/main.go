// Package app is the command line: one file for each command, the settings, and the composition of the modules. It
// decides nothing about pipelines and tasks. It calls the modules and prints their results.
package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/orphans"
	"github.com/sluiceworks/sluice/platform/terminal"
)

const signalEcho = 500 * time.Millisecond

// Main runs one command line and returns the exit code: 0 done; 1 the pipeline failed or a breach was found; 2 wrong
// usage, an invalid file or input; 3 no such thing; 4 the database cannot be used; 5 not allowed in this state; 70
// an unexpected error; 124 the time of wait --timeout is over; 130 interrupted; 131 ended by SIGQUIT (see Program). A
// crash of the Go runtime has exit code 2, too.
//
// The end of ctx, an interrupt, a hangup and a termination signal all begin an orderly shutdown. A second signal
// kills what still runs, and a third ends the process immediately.
//
// extensions are fx modules with further handlers and definitions.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, extensions ...fx.Option) int {
	return command(ctx, nil, args, stdin, stdout, stderr, extensions)
}

func command(
	ctx context.Context, inherited *orphans.Reaper, args []string, stdin io.Reader, stdout, stderr io.Writer,
	extensions []fx.Option,
) int {
	ctx, kill, stop := untilSignals(ctx)
	defer stop()
	ctx = db.WithWaitReport(ctx, func(message string) { fmt.Fprintln(terminal.New(stderr), "sluice: "+message) })
	gcPercent()
	c := &cli{
		kill: kill, orphans: inherited, extensions: extensions,
		stdin: stdin, stdout: terminal.New(stdout), stderr: terminal.New(stderr),
	}
	root := c.rootCommand() //nolint:contextcheck // a command gets its context when it runs
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	c.json = wantsJSON(cmd, args)
	code := c.report(ctx, err)
	// Errors of a closed output have been reported, or nobody reads it any more.
	_, _ = c.stdout.Flush(), c.stderr.Flush()
	return code
}

// untilSignals returns a context that the first signal ends and a channel that the second signal closes. The third
// signal has its default effect. A signal within signalEcho after another one is ignored, because programs that run
// others often pass on a signal twice.
func untilSignals(ctx context.Context) (ended context.Context, kill <-chan struct{}, stop func()) {
	ended, end := context.WithCancel(ctx)
	second, over := make(chan struct{}), make(chan struct{})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, endSignals()...)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for _, act := range []func(){end, func() { close(second) }} {
			select {
			case <-signals:
				act()
			case <-over:
				return
			}
			echo := time.NewTimer(signalEcho)
			select {
			case <-echo.C:
			case <-over:
				echo.Stop()
				return
			}
			select {
			case <-signals:
			default:
			}
		}
		signal.Stop(signals)
	})
	return ended, second, func() {
		signal.Stop(signals)
		close(over)
		waiting.Wait()
		end()
	}
}

// outliveOutput keeps the process alive when it writes to a pipe that has no reader any more, until stop is called,
// because the tasks do not depend on the display. The commands of tasks get SIGPIPE as usual.
func outliveOutput() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGPIPE)
	return func() { signal.Stop(signals) }
}

// endSignals returns the signals that begin an orderly shutdown. An interrupt or hangup that was ignored at the
// start, as by nohup, stays ignored.
func endSignals() []os.Signal {
	list := []os.Signal{syscall.SIGTERM}
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			list = append(list, s)
		}
	}
	return list
}
