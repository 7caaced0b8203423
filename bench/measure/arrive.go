package measure

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
)

// These settings start runs at a rate as `sluice bench` does: the number of feeders, each of which starts together the
// runs that have arrived since its last call.
const (
	feeders = 2
	atMost  = 500
)

// Arrive hands over 0 to n-1 at random times, rate per second on average: those of a Poisson process. It lets each
// feeder hand over one at a time, or all that have arrived while it was busy.
func Arrive(ctx context.Context, n int, rate float64, hand func(ctx context.Context, arrived []int) error) error {
	arrivals := make(chan int, n) // there is room for all: a slow contestant delays no arrival
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(arrivals)
		next := time.Now()
		for i := range n {
			next = next.Add(time.Duration(rand.ExpFloat64() / rate * float64(time.Second)))
			if err := Pause(ctx, time.Until(next)); err != nil {
				return err
			}
			arrivals <- i
		}
		return nil
	})
	for range feeders {
		group.Go(func() error {
			for i := range arrivals {
				if err := hand(ctx, gather(arrivals, i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func gather(arrivals <-chan int, first int) []int {
	list := []int{first}
	for len(list) < atMost {
		select {
		case i, open := <-arrivals:
			if !open {
				return list
			}
			list = append(list, i)
		default:
			return list
		}
	}
	return list
}
