package app

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/orphans"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// cli is one run of the program: its streams, its extensions, and the settings that all commands share.
type cli struct {
	stdin          io.Reader
	stdout, stderr *terminal.Writer
	extensions     []fx.Option
	kill           <-chan struct{} // closed when running tasks are to be killed immediately
	orphans        *orphans.Reaper // nil if Main was not called by a program of its own

	config          string
	databaseURL     string
	creates         bool // the command may create a missing database file
	skipSchemaCheck bool // the command checks schemas itself, so that of its tenant may be missing
	tenant          string
	logLevel        string
	json            bool // errors are written as JSON

	// program is how to call this program on the same database: sluice and the shared flags that were given.
	program string
}

// mayCreateDB are the commands that may create a database file. Any other command would only read an empty one, and
// leave it behind for a user who was in the wrong directory.
var mayCreateDB = map[string]bool{
	"sluice run": true, "sluice serve": true, "sluice start": true, "sluice migrate": true, "sluice migrate up": true,
	"sluice tenants create": true,
	"sluice import":         true,
}

const (
	groupWork    = "work"
	groupInspect = "look"
	groupCare    = "care"
)

func (c *cli) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "Durable pipelines with a provably complete history",
		Long: `sluice runs durable pipelines of tasks, on SQLite or PostgreSQL. Every change of state commits in one
transaction with the event that records it; ` + "`sluice verify`" + ` proves it.

Every flag is also an environment variable (--database-url is SLUICE_DATABASE_URL) and a key of a
configuration file (database-url in ` + defaultConfig + `); the flag wins, then the variable, then the file.

Exit codes:
    0  done
    1  a pipeline failed, or a check found something wrong
    2  wrong usage, or an invalid file or input; also a crash of the Go runtime, with stacks on stderr
    3  no such thing
    4  the database is unreachable, behind, or refuses the command
    5  not allowed in this state
   70  an unexpected error
  124  the time of wait --timeout is over
  130  interrupted
  131  ended by SIGQUIT, with stacks on stderr`,
		Example: "  sluice run examples/first.yaml\n  sluice serve --pipelines pipelines\n" +
			"  sluice list --status failed",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Version:       readBuildInfo().String(),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			c.remember(cmd)
			if err := c.applySettings(cmd); err != nil {
				return err
			}
			c.creates = mayCreateDB[cmd.CommandPath()]
			cmd.SetContext(db.WithTenant(cmd.Context(), c.tenant))
			return nil
		},
	}
	c.globalFlags(root)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(&cobra.Group{ID: groupWork, Title: "Run pipelines:"}, &cobra.Group{ID: groupInspect, Title: "Look:"},
		&cobra.Group{ID: groupCare, Title: "Look after the database:"})
	group(root, groupWork, c.runCommand(), c.serveCommand(), c.startCommand(), c.validateCommand(), c.pauseCommand(),
		c.resumeCommand(), c.cancelCommand(), c.retryCommand(), c.rerunCommand(), c.waitCommand(), c.annotateCommand())
	group(root, groupInspect, c.listCommand(), c.countCommand(), c.showCommand(), c.pipelinesCommand(),
		c.schedulesCommand(),
		c.logsCommand(),
		c.diffCommand(), c.eventsCommand(), c.outboxCommand(), c.workersCommand())
	group(root, groupCare, c.verifyCommand(), c.sealCommand(), c.doctorCommand(), c.migrateCommand(), c.backupCommand(),
		c.tenantsCommand(), c.cleanupCommand(),
		c.cleanupEventsCommand(), c.exportCommand(), c.importCommand(), c.benchCommand())
	root.AddCommand(c.versionCommand(), c.benchHelperCommand(), c.manPagesCommand())
	completionErrors(root, c.stdout)
	return root
}

// globalFlags adds the flags of all commands.
func (c *cli) globalFlags(root *cobra.Command) {
	root.SetGlobalNormalizationFunc(normalizeFlag)
	flags := root.PersistentFlags()
	flags.StringVar(&c.databaseURL, "database-url", "sqlite://sluice.db",
		"`URL` of the database: sqlite://path or postgres://user@host/database")
	flags.StringVar(&c.tenant, "tenant", db.DefaultTenant, "`NAME` of the tenant")
	flags.StringVar(&c.config, configFlag, "", "configuration `FILE` (default "+defaultConfig+", if there is one)")
	flags.Var(&choice{value: &c.logLevel, allowed: []string{"debug", "info", "warn", "error"}, kind: "LEVEL"},
		"log-level",
		"least serious `LEVEL` of what is logged: debug, info, warn or error (default info for serve, else warn)")
}

// completionErrors makes the completion command that cobra adds refuse wrong arguments as the other commands do.
func completionErrors(root *cobra.Command, out io.Writer) {
	root.SetOut(out) // cobra reads it now, not when the command runs
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		cmd.Args = unknownCommand
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		for _, shell := range cmd.Commands() {
			shell.Args = arguments(0, 0, "")
		}
	}
}

func group(root *cobra.Command, id string, commands ...*cobra.Command) {
	for _, cmd := range commands {
		cmd.GroupID = id
		root.AddCommand(cmd)
	}
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	names := []string{}
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	otherwise := "`sluice help` lists the commands"
	if cmd.HasParent() {
		otherwise = "`" + cmd.CommandPath() + "` takes " + strings.Join(names, ", ")
	}
	return withHint(usagef("unknown command %q", strings.TrimPrefix(cmd.CommandPath()+" "+args[0], "sluice ")),
		didYouMean(args[0], names, otherwise))
}

// open opens the database that the settings name. It creates a missing file only for the commands in creators.
func (c *cli) open(ctx context.Context) (*db.DB, error) {
	if c.creates {
		return db.Open(ctx, c.databaseURL)
	}
	return db.OpenExisting(ctx, c.databaseURL)
}

// openReady opens the database and prepares its schema. It migrates SQLite, which has one user; on a server,
// migrating is an operator's decision.
func (c *cli) openReady(ctx context.Context) (*db.DB, error) {
	d, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	if c.skipSchemaCheck {
		return d, nil
	}
	if err := ready(ctx, d); err != nil {
		return nil, closing(err, d)
	}
	return d, nil
}

// ready migrates or checks the schema of the context's tenant.
func ready(ctx context.Context, d *db.DB) error {
	if d.Backend() == "sqlite" {
		return d.Migrate(ctx)
	}
	return d.CheckSchema(ctx)
}
