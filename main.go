// Command sluice runs durable pipelines of tasks and proves that their history is complete.
package main

import (
	"context"
	"os"
	"runtime"
	_ "time/tzdata" // zones for machines that have none

	"github.com/sluiceworks/sluice/app"
	"github.com/sluiceworks/sluice/examples/wordcount"
)

// init keeps main on the process's first thread: see app.Program.
func init() { runtime.LockOSThread() }

func main() {
	os.Exit(app.Program(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr,
		wordcount.Module, // an extension is one line here
	))
}
