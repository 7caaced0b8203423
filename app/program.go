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

	"github.com/google/uuid"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/handlers/shell"
	"github.com/sluiceworks/sluice/platform/orphans"
)

// Program is Main for a program's main function, which has the process to itself. In addition to what Main does,
//
//   - processes that a task's command leaves behind end with it, including those that have left its session, and ended
//     orphans are reaped, which is the duty of process 1 in a container;
//   - SIGQUIT prints the stacks of all goroutines to stderr, kills the process groups of running commands, and ends the
//     process immediately with exit code 131. If SIGQUIT was ignored at the start, it stays ignored.
//
// Call Program from the main goroutine, before any process is started, in a program whose init calls
// runtime.LockOSThread. Without that call the first of the two may be missing.
func Program(
	ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, extensions ...fx.Option,
) int {
	uuid.EnableRandPool() // random bytes are read in blocks, because the life of one task takes seven ids
	defer quitOnSignal(stderr)()
	return orphans.Run(func(r *orphans.Reaper) int { return command(ctx, r, args, stdin, stdout, stderr, extensions) })
}

// quitOnSignal handles SIGQUIT as Program describes, until stop is called. The runtime's default would leave the
// commands running and end with the exit code of wrong usage.
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
			signal.Stop(signals) // a second one has its default effect
			fmt.Fprintln(stderr, "sluice: SIGQUIT")
			_ = pprof.Lookup("goroutine").WriteTo(stderr, 2) // in the form of a crash; errors are ignored
			shell.KillAll()                                  // last, so that no attempt is recorded as failed
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
