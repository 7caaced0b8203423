package app

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/handlers/shell"
	"github.com/sluiceworks/sluice/modules/health"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/modules/workers/slots"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/redact"
)

type serveNeeds struct {
	fx.In
	Sources
	DB        *db.DB
	Outbox    *outbox.Repository
	Pipelines *engine.Repository
	Workers   workers.Deps
	Log       *zap.Logger
	Keeping   maintenance
}

const minLease = 100 * time.Millisecond

// serving holds the settings of serve.
type serving struct {
	workers.TenantPoolsConfig
	dir, listen string
}

func (c *cli) serveCommand() *cobra.Command {
	var s serving
	s.Config = workers.Config{
		LogOutcomes: true, Slots: workers.DefaultSlots, Lease: workers.DefaultLease,
		Drain: workers.DefaultDrain,
	}
	var keep maintenanceFlags
	var pass passEnv
	var dirs runDirsFlag
	cmd := &cobra.Command{
		Use:     "serve",
		Example: "  sluice serve --pipelines pipelines --listen :8080\n  sluice serve --queues default,gpu --workers 8",
		Short:   "Register pipelines and work until told to stop",
		Long: `Registers the pipelines of a directory and works on all executions of the database. Several processes on
one PostgreSQL share the work. An interrupt or a termination signal makes it finish what runs; a second one kills what
still runs and gives it back.
With --tenants one process works for many tenants: they share its slots, and none keeps another waiting.
Commands get of this process's environment PATH, HOME, USER, LANG, LC_*, TZ, TMPDIR, the proxies (http_proxy,
https_proxy, no_proxy, also in capitals), and what --pass-env names.`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.logLevel == "" {
				c.logLevel = "info"
			}
			several := cmd.Flags().Changed("tenants")
			switch {
			case several && c.tenant != db.DefaultTenant:
				return withHint(usagef("--tenant and --tenants exclude each other"), "give --tenants all names")
			case several:
				c.skipSchemaCheck = true
			default:
				s.Tenants = []string{c.tenant}
			}
			var err error
			s.Kill = c.kill
			if s.RunDirs, err = dirs.store(); err != nil {
				return err
			}
			return with(cmd.Context(), c, func(ctx context.Context, n serveNeeds) error {
				defer outliveOutput()()
				c.setCommands(n.Handlers, shell.Environment{Pass: pass.patterns}, n.Log)
				c.guardFiles(n.Handlers, n.DB)
				return n.serve(ctx, s, keep)
			})
		},
	}
	s.declare(cmd)
	pass.add(cmd, "pass the variable `NAME`, or all that begin with PREFIX*, to commands; separated by commas, "+
		"repeatable")
	dirs.add(cmd)
	keep.add(cmd)
	return cmd
}

// declare adds the flags.
func (s *serving) declare(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.dir, "pipelines", "",
		"register the pipelines in the *.yaml and *.yml files of `DIR` and its subfolders, and their changes while "+
			"serving, for each tenant that is served")
	cmd.Flags().Var(&tenantNames{value: &s.Tenants}, "tenants",
		"work for `TENANTS`: all, those made and dropped meanwhile included, or names separated by commas (default: "+
			"the one of --tenant)")
	cmd.Flags().Var(&count{&s.Slots, 1}, "workers", "run at most `N` tasks at once, of all tenants")
	cmd.Flags().Var(&handlerLimits{&s.HandlerLimits}, "handler-limit",
		"run at most N tasks of a handler at once, as `HANDLER=N`; repeatable (default shell=64, http=256; others "+
			"have none)")
	cmd.Flags().Var(&queueNames{&s.Queues}, "queues", "serve these `QUEUES`, separated by commas (default \"default\")")
	cmd.Flags().Var(&durationFlag{&s.Lease, minLease}, "lease",
		"others take this process's tasks when it has been silent for `DURATION`")
	cmd.Flags().Var(&address{&s.listen}, "listen",
		"answer /livez, /readyz and /metrics on `ADDR`; :PORT is for this machine alone (default: not at all)")
	cmd.Flags().Var(&durationFlag{&s.Drain, 0}, "drain",
		"when stopping, wait `DURATION` for running tasks before they are given back")
}

func (n serveNeeds) serve(ctx context.Context, s serving, keep maintenanceFlags) (err error) {
	if err := knownHandlers(s.HandlerLimits, n.Handlers); err != nil {
		return err
	}
	definitions, err := newRegistrar(n.Sources, s.dir, n.Log)
	if err != nil {
		return err
	}
	share := func(*slots.Semaphore) {}
	if s.listen != "" {
		server, refused := health.Listen(ctx, s.listen,
			health.Deps{DB: n.DB, Outbox: n.Outbox, Pipelines: n.Pipelines, Log: n.Log})
		if refused != nil {
			return refused
		}
		// It is closed last, because it reports that the process is not ready while the work drains.
		defer func() { err = errors.Join(err, server.Close(ctx)) }()
		defer context.AfterFunc(ctx, server.Drain)()
		s.ObserverOf, s.OnPoolStart, s.OnPoolStop = server.Observer, server.Watch, server.Unwatch
		share = server.Share
		n.Log.Info("answering /livez, /readyz and /metrics", zap.Stringer("listen", server.Addr()))
	}
	var pools *workers.TenantPools
	s.BeforePoolStart = func(ctx context.Context) error {
		if err := errors.Join(n.prepare(ctx, definitions), n.Keeping.prepare(ctx, keep)); err != nil {
			return err
		}
		n.Log.Info("serving", zap.String("database", redact.Database(n.DB.URL())),
			zap.String("tenant", db.TenantOf(ctx)),
			zap.Int("pipelines", definitions.count()), zap.Int("workers", s.Slots),
			zap.Stringer("limits", pools.Limits()), zap.Duration("lease", s.Lease))
		return nil
	}
	keepers := newMaintenanceJobs(n.Keeping, keep, s.RunDirs, n.Log)
	defer keepers.stopAll()
	s.OnPoolStart, s.OnPoolStop = chainHooks(s.OnPoolStart, func(tenant string, _ *workers.Pool) {
		keepers.begin(ctx, tenant)
		definitions.begin(tenant)
	}), chainEndHooks(chainEndHooks(s.OnPoolStop, keepers.end), definitions.end)
	defer definitions.start(ctx)()
	stop := context.AfterFunc(ctx,
		func() { n.Log.Info("stopping: no more tasks are taken", zap.Duration("drain", s.Drain)) })
	defer stop()
	pools = workers.NewTenantPools(s.TenantPoolsConfig, n.Workers)
	share(pools.Budget())
	if err := pools.Run(ctx); err != nil {
		return err
	}
	n.Log.Info("stopped")
	return nil
}

// prepare makes a tenant ready to be served.
func (n serveNeeds) prepare(ctx context.Context, definitions *registrar) error {
	if err := ready(ctx, n.DB); err != nil {
		return err
	}
	return definitions.prepare(ctx)
}
