// Command worker is the program with the fault tests' handler as its only extension.
package main

import (
	"context"
	"os"
	"runtime"

	"github.com/sluiceworks/sluice/app"
	"github.com/sluiceworks/sluice/chaos/step"
)

func init() { runtime.LockOSThread() }

func main() {
	os.Exit(app.Program(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, step.Module))
}
