package app

import (
	"context"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"sluice/modules/retention"
	"sluice/modules/seal"
)

// keepFlags are the settings of what a server does for the history beside its work.
type keepFlags struct {
	retain retainFlags
	every  time.Duration
	seal   bool
}

func (f *keepFlags) add(cmd *cobra.Command) {
	f.retain.add(cmd)
	f.every = time.Hour
	cmd.Flags().Var(&duration{&f.every, leastLease}, "retain-every", "look for what is old enough once in `DURATION`, whatever the number of processes")
	sealFlag(cmd, &f.seal)
}

// keeping is what looks after the history.
type keeping struct {
	fx.In
	Retention *retention.Keeper
	Sealer    *seal.Sealer
}

// start begins the work beside a server's; stop ends it and waits.
func (k keeping) start(ctx context.Context, f keepFlags, log *zap.Logger) (stop func(), err error) {
	if f.seal {
		if err := k.Sealer.Enable(ctx); err != nil {
			return nil, err
		}
	}
	stopRetention := f.retain.background(ctx, k.Retention, f.every, log)
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() { k.Sealer.Watch(ctx, log) }) // what any process ends is sealed here, if the database says so
	return func() {
		cancel()
		ended.Wait()
		stopRetention()
	}, nil
}

func sealFlag(cmd *cobra.Command, on *bool) {
	cmd.Flags().BoolVar(on, "seal", false, "seal executions when they end, from now on and whichever process ends them; 'sluice seal --off' ends that")
}
