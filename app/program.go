package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"sync"
	"syscall"

	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/handlers/shell"
	"github.com/sluiceworks/sluice/platform/orphans"
)

// Program is Main for a program's main function, which has the process to itself. Besides what Main does,
//
//   - processes that a task's command leaves behind end with it, also those that have left its session, and the ones that have ended
//     are reaped, as they have to be of process 1 of a container;
//   - SIGQUIT prints the stacks of all goroutines to stderr, kills the process groups of the commands that run, and ends the process
//     at once with exit code 131. It is left alone if it was ignored at the start.
//
// Call it from the main goroutine, before any process is started, in a program whose init calls runtime.LockOSThread. Without
// that call the first of the two may be missing.
func Program(
	ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, extensions ...fx.Option,
) int {
	defer quitOnSignal(stderr)()
	return orphans.Run(func(r *orphans.Reaper) int { return command(ctx, r, args, stdin, stdout, stderr, extensions) })
}

// quitOnSignal does what Program says of SIGQUIT, until stop is called. The runtime's own way would leave the commands running, and
// its exit code is that of wrong usage.
func quitOnSignal(stderr io.Writer) (stop func()) {
	if signal.Ignored(syscall.SIGQUIT) {
		return func() {}
	}
	signals, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGQUIT)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-signals:
			signal.Stop(signals) // a second one has its usual effect
			fmt.Fprintln(stderr, "sluice: SIGQUIT")
			_ = pprof.Lookup("goroutine").WriteTo(stderr, 2) // in the form of a crash; an error changes nothing
			shell.KillAll()                                  // last, so that no attempt is recorded as one that failed
			os.Exit(exitQuit)
		case <-over:
		}
	})
	return func() {
		signal.Stop(signals)
		close(over)
		waiting.Wait()
	}
}
