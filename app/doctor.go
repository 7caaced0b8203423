package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// The states of a finding.
const (
	findingOK   = "ok"
	findingWarn = "warn"
	findingBad  = "bad"
)

// finding is the result of a check.
type finding struct {
	Check    string       `json:"check"`
	State    string       `json:"state"` // ok, warn or bad
	Found    string       `json:"found"`
	Advice   dbtype.Text  `json:"advice"`             // what to do; null if the state is ok
	Sessions []db.Session `json:"sessions,omitempty"` // the sessions that the finding is about
}

func ok(check, format string, args ...any) finding {
	return finding{Check: check, State: findingOK, Found: fmt.Sprintf(format, args...)}
}

func (f finding) warn(advice string) finding {
	f.State, f.Advice = findingWarn, dbtype.Text(advice)
	return f
}

func (f finding) bad(advice string) finding {
	f.State, f.Advice = findingBad, dbtype.Text(advice)
	return f
}

// examination holds what the checks need of one tenant's database.
type examination struct {
	db     *db.DB
	leases *leases.Repository
	outbox *outbox.Repository
	tasks  *taskstore.Repository
}

func (c *cli) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "doctor",
		Example: "  sluice doctor\n  sluice doctor -o json",
		Short:   "Examine the database, its workers, and what holds them up",
		Long: `Examines the tenant's database: schema, clock, workers, what the outbox waits for, which transactions hold the
tail of events or the vacuum back, and space. It changes nothing. Exit code 1 if anything is bad.`,
		Args: arguments(0, 0, ""),
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := c.examine(cmd.Context())
		if err != nil {
			return err
		}
		if *format == formatJSON {
			err = printList(c.stdout, list, "")
		} else {
			c.printFindings(list)
		}
		for _, f := range list {
			if f.State == findingBad && err == nil {
				return exitStatus(exitFailed)
			}
		}
		return err
	}
	return cmd
}

// examine runs the checks. Without a reachable database of the right schema it stops after the first ones.
func (c *cli) examine(ctx context.Context) (list []finding, err error) {
	d, err := c.open(ctx)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if d.Backend() == "sqlite" {
		if err := d.Migrate(ctx); err != nil && !errors.Is(err, db.ErrReadOnly) {
			return c.unreachable(ctx, err)
		}
	}
	status, err := d.SchemaStatus(ctx)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	list = append(list, ok("database", "%s answers", d.Backend()), examineSchema(status), examineClock(d.Skew()))
	if status.Err() != nil {
		return list, nil
	}
	history := eventstore.NewRepository(d)
	p := examination{db: d, leases: leases.NewRepository(d), outbox: outbox.NewRepository(d)}
	p.tasks = taskstore.NewRepository(d, history, p.outbox)
	role := func(ctx context.Context) ([]finding, error) { return examineRole(ctx, d) }
	for _, check := range []func(context.Context) ([]finding, error){role, p.workers, p.openTransactions, p.storage} {
		found, err := examineWithin(ctx, check)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

// checkTimeout is how long a check may take. If it takes longer, what it reads is locked, and that becomes the
// finding.
const checkTimeout = 10 * time.Second

func examineWithin(ctx context.Context, check func(context.Context) ([]finding, error)) ([]finding, error) {
	limited, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	found, err := check(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return []finding{ok("locks", "a check got no answer within %s", span(checkTimeout)).
			bad("some session locks a table of sluice: end it (pg_stat_activity, pg_blocking_pids), or wait for it")}, nil
	}
	return found, err
}

// examineRole checks whether the server accepts writes.
func examineRole(ctx context.Context, d *db.DB) (list []finding, err error) {
	if d.Backend() == "sqlite" {
		return nil, nil
	}
	var recovering, readOnly bool
	const question = `SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')::boolean`
	err = d.Query(ctx, question, nil, func(scan func(...any) error) error { return scan(&recovering, &readOnly) })
	role := ok("role", "the server takes writes")
	switch {
	case recovering:
		role = ok("role", "the server is a standby").bad("name the primary, or all hosts with target_session_attrs=read-write")
	case readOnly:
		role = ok("role", "the server or the user is read-only").bad("see default_transaction_read_only of the server, the database and the role")
	}
	return []finding{role}, err
}

// unreachable returns an error of the database as a finding, and any other error as an error.
func (c *cli) unreachable(ctx context.Context, err error) ([]finding, error) {
	if ctx.Err() != nil || exitCode(err) != exitDatabase {
		return nil, err
	}
	return []finding{ok("database", "%s", oneLine(err.Error())).bad(hintFor(err))}, nil
}

func examineSchema(s db.SchemaStatus) finding {
	if err := s.Err(); err != nil {
		advice := "run `sluice migrate`"
		if errors.Is(err, db.ErrSchemaTooNew) {
			advice = "install a newer sluice"
		}
		return ok("schema", "version %d, this program has %d", s.Current, s.Newest).bad(advice)
	}
	return ok("schema", "version %d", s.Current)
}

// Clock differences above these are wrong clocks, and not inexact readings.
const (
	skewWarn = time.Second
	skewBad  = time.Hour
)

func examineClock(skew time.Duration) finding {
	f := ok("clock", "this machine is %s off the database's clock, which is the one that counts", span(skew.Abs()))
	switch {
	case skew.Abs() > skewBad:
		return f.bad("set the clocks by NTP: schedules and logs of this machine are off")
	case skew.Abs() > skewWarn:
		return f.warn("set the clocks by NTP")
	}
	return f
}

func (c *cli) printFindings(list []finding) {
	rows := make([][]string, len(list))
	for i, f := range list {
		rows[i] = []string{f.Check, f.State, f.Found, string(f.Advice)}
	}
	printTable(c.stdout, []string{"check", "state", "found", "what to do"}, rows)
	for _, f := range list {
		for _, s := range f.Sessions {
			fmt.Fprintf(c.stdout, "  %s: %s\n", f.Check, describeSession(s))
		}
	}
}
