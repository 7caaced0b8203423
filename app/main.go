// Package app is the command line: one file for each command, the settings, and the composition of the modules. It decides nothing
// about pipelines and tasks; it asks the modules and says in words what they answer.
package app

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"go.uber.org/fx"
)

// lessCollecting lets the heap grow to five times of what lives in it, which is little, unless the environment says otherwise: a
// tenth of the processor time.
func lessCollecting() {
	const percent = 400
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

const signalEcho = 500 * time.Millisecond

// Main runs one command line and returns the exit code: 0 done; 1 the pipeline failed or a breach was found; 2 wrong usage, an
// invalid file or input, or not possible in this state; 3 no such thing; 4 the database cannot be used; 130 interrupted.
// The end of ctx, an interrupt and a termination signal all mean: end in order; a second signal ends the process at once.
// extensions are fx modules with further handlers and definitions.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, extensions ...fx.Option) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the next has its usual effect again, but not at once: programs that run others often pass one signal on twice.
	context.AfterFunc(ctx, func() { time.AfterFunc(signalEcho, stop) })
	lessCollecting()
	c := &cli{stdin: stdin, stdout: stdout, stderr: stderr, extensions: extensions}
	root := c.rootCommand() //nolint:contextcheck // a command's context comes when it runs
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return c.report(ctx, root.ExecuteContext(ctx))
}
