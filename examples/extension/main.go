// Command orders is sluice with the handlers and the pipeline of package orders: `orders run order --input …`.
package main

import (
	"context"
	"os"
	"runtime"

	"go.uber.org/fx"

	"example.com/orders/orders"
	"github.com/sluiceworks/sluice/app"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
)

func init() { runtime.LockOSThread() } // see app.Program

func main() {
	extensions := []fx.Option{pipelines.ProvideDefinition(orders.Pipeline)}
	for _, h := range orders.Handlers(orders.FakeBank{}) {
		extensions = append(extensions, tasks.ProvideHandler(func() tasks.Handler { return h }))
	}
	os.Exit(app.Program(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, extensions...))
}
