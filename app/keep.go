package app

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"sluice/modules/retention"
)

// keepFlags are the settings of what a server does for the history beside its work.
type keepFlags struct {
	retain retainFlags
	every  time.Duration
}

func (f *keepFlags) add(cmd *cobra.Command) {
	f.retain.add(cmd)
	f.every = time.Hour
	cmd.Flags().Var(&duration{&f.every, leastLease}, "retain-every", "look for what is old enough once in `DURATION`, whatever the number of processes")
}

// keeping is what looks after the history.
type keeping struct {
	fx.In
	Retention *retention.Keeper
}

// start begins the work beside a server's; stop ends it and waits.
func (k keeping) start(ctx context.Context, f keepFlags, log *zap.Logger) (stop func(), err error) {
	return f.retain.background(ctx, k.Retention, f.every, log), nil
}
