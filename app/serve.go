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

	"sluice/modules/health"
	"sluice/modules/outbox"
	"sluice/modules/pipelines/definition"
	"sluice/modules/tasks"
	"sluice/modules/workers"
	"sluice/platform/db"
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

func (c *cli) serveCommand() *cobra.Command {
	var dir, listen string
	var keep keepFlags
	config := workers.Config{Slots: workers.DefaultSlots, Lease: workers.DefaultLease, Drain: workers.DefaultDrain}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Register pipelines and work until told to stop",
		Long: `Registers the pipelines of a directory and works on all executions of the database. Several processes on one
PostgreSQL share the work. An interrupt or a termination signal makes it finish what runs; a second one ends it at once.`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.logLevel == "" {
				c.logLevel = "info"
			}
			return with(cmd.Context(), c, func(ctx context.Context, n serveNeeds) error {
				stop, err := n.Keeping.start(ctx, keep, n.Log)
				if err != nil {
					return err
				}
				defer stop()
				return n.serve(ctx, dir, listen, config)
			})
		},
	}
	cmd.Flags().StringVar(&dir, "pipelines", "", "register every *.yaml and *.yml of `DIR`")
	cmd.Flags().Var(&count{&config.Slots, 1}, "workers", "run at most `N` tasks at once")
	cmd.Flags().Var(&queueNames{&config.Queues}, "queues", "serve these `QUEUES`, separated by commas (default \"default\")")
	cmd.Flags().Var(&duration{&config.Lease, leastLease}, "lease", "others take this process's tasks when it has been silent for `DURATION`")
	cmd.Flags().Var(&address{&listen}, "listen", "answer /livez, /readyz and /metrics on `ADDR`; :PORT is for this machine alone (default: not at all)")
	cmd.Flags().Var(&duration{&config.Drain, 0}, "drain", "when stopping, wait `DURATION` for running tasks before they are given back")
	keep.add(cmd)
	return cmd
}

func (n serveNeeds) serve(ctx context.Context, dir, listen string, config workers.Config) (err error) {
	list, err := n.pipelines(dir)
	if err != nil {
		return err
	}
	watch := func(*workers.Pool) {}
	if listen != "" {
		server, refused := health.Listen(ctx, listen, health.Deps{DB: n.DB, Outbox: n.Outbox, Log: n.Log})
		if refused != nil {
			return refused
		}
		// It is closed last: while the work drains it says that the process is not ready.
		defer func() { err = errors.Join(err, server.Close(ctx)) }()
		defer context.AfterFunc(ctx, server.Drain)()
		watch, config.Observer = server.Watch, server.Observer()
		n.Log.Info("answering /livez, /readyz and /metrics", zap.Stringer("listen", server.Addr()))
	}
	for _, def := range list {
		if _, err := n.Engine.Register(ctx, def); err != nil {
			return fmt.Errorf("register %q: %w", def.Name, err)
		}
	}
	n.Log.Info("serving", zap.String("database", redacted(n.DB.URL())), zap.String("tenant", db.TenantOf(ctx)),
		zap.Int("pipelines", len(list)), zap.Int("workers", config.Slots), zap.Duration("lease", config.Lease))
	stop := context.AfterFunc(ctx, func() { n.Log.Info("stopping: no more tasks are taken", zap.Duration("drain", config.Drain)) })
	defer stop()
	pool := workers.New(config, n.Workers)
	watch(pool)
	if err := pool.Run(ctx); err != nil {
		return err
	}
	n.Log.Info("stopped")
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
