// Command greeter is sluice with one more handler, greeter.greet.
package main

import (
	"context"
	"os"
	"runtime"

	"github.com/sluiceworks/sluice/app"
	"github.com/sluiceworks/sluice/modules/tasks"
)

type in struct {
	Name string `json:"name" sluice:"required"` // from the task's `with`
}

type out struct {
	Text string `json:"text"` // ${{ needs.TASK.text }} in later tasks
}

func greet(_ context.Context, in in) (out, error) { return out{Text: "hello, " + in.Name}, nil }

func newGreet() tasks.Handler { return tasks.NewHandler("greeter.greet", greet) }

func init() { runtime.LockOSThread() } // see app.Program

func main() {
	os.Exit(app.Program(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr,
		tasks.ProvideHandler(newGreet)))
}
