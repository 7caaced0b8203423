package app_test

import (
	"context"
	"time"

	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// gate is a handler that reports when an attempt has begun, and holds it until the test releases it.
type gate struct {
	begun chan int   // the attempt's number
	open  chan error // what the attempt returns
	heeds bool       // the end of the context ends the attempt
}

func newGate() *gate {
	return &gate{begun: make(chan int, 100), open: make(chan error, 100), heeds: true}
}

// option provides the handler under the name "gate".
func (g *gate) option() fx.Option {
	return tasks.ProvideHandler(func() tasks.Handler {
		return tasks.NewHandler("gate", func(ctx context.Context, _ struct{}) (struct{}, error) {
			call, _ := tasks.AttemptFrom(ctx)
			g.begun <- call.Number
			if !g.heeds {
				return struct{}{}, <-g.open
			}
			select {
			case err := <-g.open:
				return struct{}{}, err
			case <-ctx.Done():
				return struct{}{}, context.Cause(ctx)
			}
		})
	})
}

// laterOption provides a handler that defers itself once for an hour.
func laterOption() fx.Option {
	return tasks.ProvideHandler(func() tasks.Handler {
		return tasks.NewHandler("later", func(context.Context, struct{}) (struct{}, error) {
			return struct{}{}, tasks.DeferUntil(time.Now().Add(time.Hour), "the exchange is closed")
		})
	})
}

const gated = `
name: gated
tasks:
  - {id: first, uses: gate}
  - {id: second, needs: [first], uses: gate}
`
