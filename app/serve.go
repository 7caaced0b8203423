package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/health"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
)

type serveNeeds struct {
	fx.In
	Sources
	DB      *db.DB
	Outbox  *outbox.Repository
	Workers workers.Deps
	Log     *zap.Logger
	Keeping keeping
}

const leastLease = 100 * time.Millisecond

// serving is what `serve` was asked for.
type serving struct {
	workers.FleetConfig
	dir, listen string
}

func (c *cli) serveCommand() *cobra.Command {
	var s serving
	s.Config = workers.Config{Slots: workers.DefaultSlots, Lease: workers.DefaultLease, Drain: workers.DefaultDrain}
	var keep keepFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Register pipelines and work until told to stop",
		Long: `Registers the pipelines of a directory and works on all executions of the database. Several processes on one
PostgreSQL share the work. An interrupt or a termination signal makes it finish what runs; a second one ends it at once.
With --tenants one process works for many tenants: they share its slots, and none keeps another waiting.`,
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
				c.bare = true
			default:
				s.Tenants = []string{c.tenant}
			}
			return with(cmd.Context(), c, func(ctx context.Context, n serveNeeds) error { return n.serve(ctx, s, keep) })
		},
	}
	cmd.Flags().StringVar(&s.dir, "pipelines", "", "register every *.yaml and *.yml of `DIR`, for each tenant that is served")
	cmd.Flags().Var(&tenantNames{value: &s.Tenants}, "tenants", "work for `TENANTS`: all, those made and dropped meanwhile included, or names separated by commas (default: the one of --tenant)")
	cmd.Flags().Var(&count{&s.Slots, 1}, "workers", "run at most `N` tasks at once, of all tenants")
	cmd.Flags().Var(&handlerLimits{&s.HandlerLimits}, "handler-limit", "run at most N tasks of a handler at once, as `HANDLER=N`; repeatable (default shell=64, http=256; others have none)")
	cmd.Flags().Var(&queueNames{&s.Queues}, "queues", "serve these `QUEUES`, separated by commas (default \"default\")")
	cmd.Flags().Var(&duration{&s.Lease, leastLease}, "lease", "others take this process's tasks when it has been silent for `DURATION`")
	cmd.Flags().Var(&address{&s.listen}, "listen", "answer /livez, /readyz and /metrics on `ADDR`; :PORT is for this machine alone (default: not at all)")
	cmd.Flags().Var(&duration{&s.Drain, 0}, "drain", "when stopping, wait `DURATION` for running tasks before they are given back")
	keep.add(cmd)
	return cmd
}

func (n serveNeeds) serve(ctx context.Context, s serving, keep keepFlags) (err error) {
	if err := knownHandlers(s.HandlerLimits, n.Handlers); err != nil {
		return err
	}
	list, err := n.pipelines(s.dir)
	if err != nil {
		return err
	}
	share := func(*workers.Budget) {}
	if s.listen != "" {
		server, refused := health.Listen(ctx, s.listen, health.Deps{DB: n.DB, Outbox: n.Outbox, Log: n.Log})
		if refused != nil {
			return refused
		}
		// It is closed last: while the work drains it says that the process is not ready.
		defer func() { err = errors.Join(err, server.Close(ctx)) }()
		defer context.AfterFunc(ctx, server.Drain)()
		s.Observer, s.Began, s.Ended = server.Observer, server.Watch, server.Unwatch
		share = server.Share
		n.Log.Info("answering /livez, /readyz and /metrics", zap.Stringer("listen", server.Addr()))
	}
	var fleet *workers.Fleet
	s.Prepare = func(ctx context.Context) error {
		if err := errors.Join(n.prepare(ctx, list), n.Keeping.prepare(ctx, keep)); err != nil {
			return err
		}
		n.Log.Info("serving", zap.String("database", redacted(n.DB.URL())), zap.String("tenant", db.TenantOf(ctx)),
			zap.Int("pipelines", len(list)), zap.Int("workers", s.Slots),
			zap.Stringer("limits", fleet.Limits()), zap.Duration("lease", s.Lease))
		return nil
	}
	keepers := newKeepers(n.Keeping, keep, n.Log)
	defer keepers.stopAll()
	s.Began, s.Ended = both(s.Began, func(tenant string, _ *workers.Pool) { keepers.begin(ctx, tenant) }), bothEnds(s.Ended, keepers.end)
	stop := context.AfterFunc(ctx, func() { n.Log.Info("stopping: no more tasks are taken", zap.Duration("drain", s.Drain)) })
	defer stop()
	fleet = workers.NewFleet(s.FleetConfig, n.Workers)
	share(fleet.Budget())
	if err := fleet.Run(ctx); err != nil {
		return err
	}
	n.Log.Info("stopped")
	return nil
}

// prepare makes a tenant ready to be worked for.
func (n serveNeeds) prepare(ctx context.Context, list []*definition.Definition) error {
	if err := ready(ctx, n.DB); err != nil {
		return err
	}
	for _, def := range list {
		if _, err := n.Engine.Register(ctx, def); err != nil {
			return fmt.Errorf("register %q: %w", def.Name, err)
		}
	}
	return nil
}

// pipelines gathers what is to be registered: the extensions' definitions and the directory's.
func (n serveNeeds) pipelines(dir string) ([]*definition.Definition, error) {
	var list []*definition.Definition
	for _, name := range n.Extensions.Names() {
		def, _ := n.Extensions.Definition(name)
		list = append(list, def)
	}
	if dir == "" {
		return list, nil
	}
	found, err := parseDirectory(dir, n.Handlers)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if _, taken := n.Extensions.Definition(f.def.Name); taken {
			return nil, withHint(usagef("%s: the program has a pipeline %q of its own", f.path, f.def.Name), "give it another name")
		}
		list = append(list, f.def)
	}
	return list, nil
}

// parsed is a definition with the file that it comes from.
type parsed struct {
	path string
	def  *definition.Definition
}

// parseDirectory reads every pipeline of a directory. The error has the mistakes of all files.
func parseDirectory(dir string, handlers *tasks.Registry) ([]parsed, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fileError(err)
	}
	var list []parsed
	var problems definition.Problems
	first := map[string]string{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() || !isYAML(e.Name()) {
			continue
		}
		def, err := parseFile(path, nil, handlers)
		var found definition.Problems
		switch {
		case errors.As(err, &found):
			problems = append(problems, found...)
		case err != nil:
			return nil, err
		case first[def.Name] != "":
			problems = append(problems, definition.Problem{
				File: path, Line: 1, Column: 1, Path: "name",
				Message: fmt.Sprintf("the pipeline %q is defined in %s already", def.Name, first[def.Name]), Hint: "give it another name",
			})
		default:
			first[def.Name] = path
			list = append(list, parsed{path, def})
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return list, nil
}

// redacted is a URL without its password.
func redacted(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a URL that cannot be shown"
	}
	return u.Redacted()
}
