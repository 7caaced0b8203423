package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/health"
	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/suggest"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// The exit codes of the program.
const (
	exitDone        = 0
	exitFailed      = 1 // the pipeline failed, or a breach was found
	exitUsage       = 2
	exitNotFound    = 3
	exitDatabase    = 4
	exitState       = 5   // not allowed in this state
	exitUnexpected  = 70  // none of the others: a fault of the program or of the machine
	exitTimeout     = 124 // the time of `wait --timeout` is over; the code is that of timeout(1)
	exitInterrupted = 130
	exitQuit        = 131 // SIGQUIT, as shells report it
)

// exitStatus ends the program with a code and no message, because the command has already printed one.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// usageError is a mistake of the caller.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// hinted is an error with a hint about what to do.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

func withHint(err error, hint string) error {
	if err == nil || hint == "" {
		return err
	}
	return hinted{err, hint}
}

// report writes an error, if there is one, and returns the exit code.
func (c *cli) report(ctx context.Context, err error) int {
	var status exitStatus
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	case ctx.Err() != nil && !errors.Is(err, workers.ErrUnrecorded):
		return c.printError(errors.New("interrupted"), exitInterrupted)
	}
	return c.printError(err, exitCode(err))
}

// printError writes an error that ends the program with a code.
func (c *cli) printError(err error, code int) int {
	if c.json {
		if printing := printJSON(c.stderr, errorDocument{c.bodyOf(err, code)}); printing == nil {
			return code
		}
	}
	var problems definition.Diagnostics
	if errors.As(err, &problems) {
		c.reportProblems(problems)
		return code
	}
	fmt.Fprintf(c.stderr, "sluice: %s\n", terminal.Inline(oneLine(c.again(err.Error()))))
	if hint := c.again(hintFor(err)); hint != "" {
		fmt.Fprintf(c.stderr, "  %s\n", terminal.Inline(hint))
	}
	return code
}

// oneLine joins the lines of an error of a driver, or of a list of errors.
func oneLine(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.ReplaceAll(strings.Join(slices.Compact(lines), "; "), ":; ", ": ")
}

// reportProblems writes each mistake on a line. Mistakes in a file begin with their place, where editors look for it.
func (c *cli) reportProblems(list definition.Diagnostics) {
	for _, p := range list {
		if p.Line == 0 {
			fmt.Fprintf(c.stderr, "sluice: %s\n", terminal.Inline(p.String()))
		} else {
			fmt.Fprintln(c.stderr, terminal.Inline(p.String()))
		}
	}
}

// warn writes what is allowed but probably a mistake, in the format of reportProblems.
func (c *cli) warn(list definition.Diagnostics) {
	for _, p := range list {
		p.Message = "warning: " + p.Message
		fmt.Fprintln(c.stderr, terminal.Inline(p.String()))
	}
}

// exitCode returns the exit code for an error.
func exitCode(err error) int {
	var usage usageError
	var problems definition.Diagnostics
	var ambiguous *ambiguousError
	switch {
	case errors.Is(err, errTimeout):
		return exitTimeout
	case errors.Is(err, pipelines.ErrInvalidState):
		return exitState
	case errors.As(err, &usage), errors.As(err, &problems), errors.As(err, &ambiguous),
		errors.Is(err, pipelines.ErrInvalidArgument), errors.Is(err, db.ErrInvalidURL),
		errors.Is(err, db.ErrTenantName), errors.Is(err, health.ErrAddress), errors.Is(err, db.ErrNoBackup),
		errors.Is(err, db.ErrFileExists):
		return exitUsage
	case errors.Is(err, pipelines.ErrExecutionNotFound), errors.Is(err, pipelines.ErrPipelineNotFound),
		errors.Is(err, tasks.ErrNotFound), errors.Is(err, audit.ErrNotFound),
		errors.Is(err, db.ErrTenantNotFound), errors.Is(err, history.ErrBefore), errors.Is(err, history.ErrNoEvent):
		return exitNotFound
	case errors.Is(err, history.ErrBroken):
		return exitFailed
	case errors.Is(err, workers.ErrUnrecorded):
		return exitDatabase
	}
	var other *eventstore.CursorMismatchError
	if errors.As(err, &other) {
		return exitNotFound
	}
	if ofDatabase(err) {
		return exitDatabase
	}
	return exitUnexpected
}

// ofDatabase reports whether an error is about the database: it is unreachable, behind or ahead, not a database of
// sluice, or it refused the request.
func ofDatabase(err error) bool {
	for _, known := range []error{
		db.ErrFileNotFound, db.ErrForeignSchema, db.ErrStandby, db.ErrSchemaOutdated, db.ErrSchemaTooNew,
		db.ErrDataRejected, db.ErrReplaced,
		db.ErrHardLink, db.ErrNetworkFile, db.ErrEncoding, db.ErrSearchPath, db.ErrTransactionPooling,
		db.ErrMigratePooled, leases.ErrExpired,
		context.DeadlineExceeded,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return db.IsUnhealthy(err) || db.Advice(err) != ""
}

func hintFor(err error) string {
	var h hinted
	var other *eventstore.CursorMismatchError
	var gone *db.TenantNotFoundError
	var ambiguous *ambiguousError
	switch {
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, &ambiguous):
		return ambiguous.hint()
	case errors.As(err, &other):
		return "go on without the cursor and with --since " + other.Since.Format(time.RFC3339) +
			" (a minute before its event), and expect some events again; " +
			"or name the database that it was made for"
	case errors.Is(err, db.ErrStandby):
		return "name the primary with --database-url (SLUICE_DATABASE_URL)"
	case errors.Is(err, pipelines.ErrExecutionNotFound), errors.Is(err, audit.ErrNotFound):
		return "`sluice list` shows the executions of this database"
	case errors.As(err, &gone) && gone.Tenant != db.DefaultTenant:
		return "`sluice tenants create " + gone.Tenant + "` makes it; `sluice tenants list` shows those that are there"
	case errors.Is(err, history.ErrBroken):
		return "`sluice verify` says what is wrong with it"
	case errors.Is(err, health.ErrAddress):
		return "choose another address for --listen (SLUICE_LISTEN)"
	case db.Advice(err) != "":
		return db.Advice(err)
	case errors.Is(err, db.ErrFileNotFound):
		return "`sluice run FILE` makes one, or name another with --database-url (SLUICE_DATABASE_URL)"
	case errors.Is(err, db.ErrForeignSchema), errors.Is(err, db.ErrCorrupt):
		return "name another with --database-url (SLUICE_DATABASE_URL); this one was left as it is"
	case errors.Is(err, db.ErrReadOnly):
		return "`list`, `show`, `events`, `outbox`, `workers` and `verify` need no more than to read; what writes " +
			"needs a user who may"
	case errors.Is(err, db.ErrUnavailable):
		return "check --database-url (SLUICE_DATABASE_URL) and that the database is running"
	}
	return ""
}

// fileError returns an error about a file that the caller named as a usageError.
func fileError(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return usagef("%s: %w", p.Path, p.Err)
	}
	return usageError{err}
}

func flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	hint := "`" + cmd.CommandPath() + " --help` lists the flags"
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		names := []string{}
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		hint = didYouMean("--"+unknown.GetSpecifiedName(), names, hint)
	}
	return withHint(usageError{err}, hint)
}

// arguments checks the number of arguments. If most is -1, there is no upper bound. names is what the usage line
// calls them.
func arguments(least, most int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return withHint(usagef("%s needs %s", cmd.CommandPath(), names), "`"+cmd.CommandPath()+" --help` says more")
		case most >= 0 && len(args) > most:
			return withHint(usagef("unexpected argument %q", args[most]), "usage: "+cmd.UseLine())
		}
		return nil
	}
}

// parseTaskID reads the id of a task execution.
func parseTaskID(s string) (dbtype.ID, error) {
	id, err := dbtype.ParseID(s)
	if err != nil {
		return dbtype.ID{}, withHint(usageError{err},
			"`sluice show ID -o json` has the ids of an execution's tasks as task_execution_id")
	}
	return id, nil
}

// didYouMean returns a hint for an unknown name: the nearest known name, or else the first that begins with it.
func didYouMean(name string, known []string, otherwise string) string {
	if best := suggest.Nearest(name, known); best != "" {
		return suggest.DidYouMean(best)
	}
	begins := func(k string) bool { return strings.HasPrefix(strings.ToLower(k), strings.ToLower(name)) }
	if i := slices.IndexFunc(known, begins); i >= 0 && name != "" {
		return suggest.DidYouMean(known[i])
	}
	return otherwise
}

// closing joins an error with the error of closing c, in this order.
func closing(err error, c interface{ Close() error }) error { return errors.Join(err, c.Close()) }
