package app

import (
	"context"
	"errors"

	"go.uber.org/dig"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/archive"
	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/modules/chores"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/handlers/http"
	"github.com/sluiceworks/sluice/modules/handlers/shell"
	"github.com/sluiceworks/sluice/modules/handlers/wait"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/retention"
	"github.com/sluiceworks/sluice/modules/seal"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
)

// modules is the whole program without its database, its log and its extensions.
var modules = fx.Options(
	eventstore.Module,
	outbox.Module,
	leases.Module,
	tasks.Module,
	taskstore.Module,
	engine.Module,
	pipelines.ExtensionsModule,
	workers.Module,
	shell.Module,
	http.Module,
	wait.Module,
	chores.Module,
	retention.Module,
	seal.Module,
	archive.Module,
	fx.Provide(audit.New),
)

// with composes the program, passes to a command what it needs (T is a struct with fx.In), and stops the program
// afterwards. The database is opened only if something needs it. Errors in the composition are reported by their root
// cause.
func with[T any](ctx context.Context, c *cli, use func(context.Context, T) error) (err error) {
	log, err := c.logger()
	if err != nil {
		return err
	}
	var opened *db.DB
	var opening error
	defer func() {
		if opened != nil {
			err = errors.Join(err, opened.Close())
		}
	}()
	var needs T
	program := fx.New(
		fx.NopLogger, // fx's messages do not help people who run pipelines
		fx.RecoverFromPanics(),
		fx.Supply(log),
		fx.Provide(func() (*db.DB, error) {
			opened, opening = c.openReady(ctx)
			return opened, opening
		}),
		modules,
		fx.Options(c.extensions...),
		fx.Populate(&needs),
	)
	if opening != nil {
		return opening
	}
	if err := program.Err(); err != nil {
		return usageError{dig.RootCause(err)} // the program is composed wrongly
	}
	if err := program.Start(ctx); err != nil {
		return err
	}
	// Stopping must go on after an interrupt.
	defer func() { err = errors.Join(err, program.Stop(context.WithoutCancel(ctx))) }()
	return use(ctx, needs)
}
