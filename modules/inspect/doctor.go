package inspect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// The states of a finding.
const (
	FindingOK   = "ok"
	FindingWarn = "warn"
	FindingBad  = "bad"
)

// Finding is the result of a check.
type Finding struct {
	Check    string       `json:"check"`
	State    string       `json:"state"` // ok, warn or bad
	Found    string       `json:"found"`
	Advice   dbtype.Text  `json:"advice"`             // what to do; null if the state is ok
	Sessions []db.Session `json:"sessions,omitempty"` // the sessions that the finding is about
}

// NewFinding returns a finding in state ok.
func NewFinding(check, format string, args ...any) Finding {
	return Finding{Check: check, State: FindingOK, Found: fmt.Sprintf(format, args...)}
}

// Warn returns the finding in state warn, with what to do.
func (f Finding) Warn(advice string) Finding {
	f.State, f.Advice = FindingWarn, dbtype.Text(advice)
	return f
}

// Bad returns the finding in state bad, with what to do.
func (f Finding) Bad(advice string) Finding {
	f.State, f.Advice = FindingBad, dbtype.Text(advice)
	return f
}

// Doctor examines one tenant's database. It changes nothing.
type Doctor struct {
	db     *db.DB
	leases *leases.Repository
	outbox *outbox.Repository
	tasks  *taskstore.Repository
}

// NewDoctor returns a Doctor for a database, whose schema may be of another version.
func NewDoctor(d *db.DB) *Doctor {
	p := &Doctor{db: d, leases: leases.NewRepository(d), outbox: outbox.NewRepository(d)}
	p.tasks = taskstore.NewRepository(d, eventstore.NewRepository(d), p.outbox)
	return p
}

// Examine runs the checks. If the schema is not of this program's version, it stops after the first ones. It returns an
// error if the database could not be asked.
func (p *Doctor) Examine(ctx context.Context, schema db.SchemaStatus) ([]Finding, error) {
	list := []Finding{
		NewFinding("database", "%s answers", p.db.Backend()), examineSchema(schema), examineClock(p.db.Skew()),
	}
	checks := []func(context.Context) ([]Finding, error){p.role, p.workers, p.openTransactions, p.storage}
	if schema.Err() != nil {
		checks = nil // they would ask for what is not there
	}
	for _, check := range checks {
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

func examineWithin(ctx context.Context, check func(context.Context) ([]Finding, error)) ([]Finding, error) {
	limited, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	found, err := check(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		advice := "some session locks a table of sluice: end it (pg_stat_activity, pg_blocking_pids), or wait for it"
		return []Finding{NewFinding("locks", "a check got no answer within %s", Span(checkTimeout)).Bad(advice)}, nil
	}
	return found, err
}

// role checks whether the server accepts writes.
func (p *Doctor) role(ctx context.Context) (list []Finding, err error) {
	if p.db.Backend() == "sqlite" {
		return nil, nil
	}
	var recovering, readOnly bool
	const question = `SELECT pg_catalog.pg_is_in_recovery(),
  pg_catalog.current_setting('transaction_read_only')::boolean`
	err = p.db.Query(ctx, question, nil, func(scan db.Scan) error { return scan(&recovering, &readOnly) })
	role := NewFinding("role", "the server takes writes")
	switch {
	case recovering:
		role = NewFinding("role", "the server is a standby").
			Bad("name the primary, or all hosts with target_session_attrs=read-write")
	case readOnly:
		role = NewFinding("role", "the server or the user is read-only").
			Bad("see default_transaction_read_only of the server, the database and the role")
	}
	return []Finding{role}, err
}

func examineSchema(s db.SchemaStatus) Finding {
	if err := s.Err(); err != nil {
		advice := "run `sluice migrate`"
		if errors.Is(err, db.ErrSchemaTooNew) {
			advice = "install a newer sluice"
		}
		return NewFinding("schema", "version %d, this program has %d", s.Current, s.Newest).Bad(advice)
	}
	return NewFinding("schema", "version %d", s.Current)
}

// Clock differences above these are wrong clocks, and not inexact readings.
const (
	skewWarn = time.Second
	skewBad  = time.Hour
)

func examineClock(skew time.Duration) Finding {
	f := NewFinding("clock", "this machine is %s off the database's clock, which is the one that counts",
		Span(skew.Abs()))
	switch {
	case skew.Abs() > skewBad:
		return f.Bad("set the clocks by NTP: schedules and logs of this machine are off")
	case skew.Abs() > skewWarn:
		return f.Warn("set the clocks by NTP")
	}
	return f
}
