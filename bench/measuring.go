package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluiceworks/sluice/bench/measure"
	"github.com/sluiceworks/sluice/platform/db/dbtest/localpg"

	"github.com/jackc/pgx/v5"
)

// serverSettings are those of the Postgres server; all others are its defaults, fsync and synchronous_commit on.
var serverSettings = map[string]string{"shared_buffers": "1GB", "max_wal_size": "4GB"}

// bench is one call of this program.
type bench struct {
	options
	server *localpg.Server
	admin  *pgx.Conn
	dir    string // for SQLite's files
	count  int    // databases made so far
}

// measureAll measures what is wanted and writes it, after each round anew, so that an end ahead of time loses little.
func measureAll(ctx context.Context, o options) (err error) {
	wanted, err := wantedRuns(o)
	if err != nil {
		return err
	}
	b := &bench{options: o}
	r := &results{
		Scale: o.scale, Rounds: o.rounds, Began: time.Now().UTC(), Revision: o.revision, Versions: versions(),
		Runs: map[string][]measure.Outcome{},
	}
	if err := b.open(ctx, r); err != nil {
		return errors.Join(err, b.close(ctx))
	}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	for round := range o.rounds {
		// Another one begins each round: whoever runs after a given one would else always do so.
		for i := range wanted {
			x := wanted[(i+round*5)%len(wanted)]
			if x.once && round < o.rounds-1 {
				continue
			}
			if err := b.measure(ctx, r, x, round); err != nil {
				return errors.Join(err, r.write(o.out))
			}
		}
		if err := r.write(o.out); err != nil {
			return err
		}
	}
	return nil
}

func wantedRuns(o options) (list []run, err error) {
	keys := map[string]bool{}
	all := figures()
	for _, name := range o.only {
		if !slices.ContainsFunc(all, func(f figure) bool { return f.name == name }) {
			return nil, fmt.Errorf("no figure %q: -list names them", name)
		}
	}
	for _, f := range all {
		if len(o.only) == 0 || slices.Contains(o.only, f.name) {
			for _, k := range f.needs {
				keys[k] = true
			}
		}
	}
	for _, r := range runs() {
		if keys[r.key] {
			list = append(list, r.scaled(o.scale))
		}
	}
	return list, nil
}

func (b *bench) open(ctx context.Context, r *results) (err error) {
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	if b.server, err = localpg.Start(ctx, localpg.Config{Durable: true, Settings: serverSettings}); err != nil {
		return err
	}
	if b.admin, err = connect(ctx, b.server.URL()); err != nil {
		return err
	}
	r.Machine, err = describe(ctx, b.admin, b.dir)
	return err
}

func connect(ctx context.Context, url string) (*pgx.Conn, error) {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	return c, nil
}

func (b *bench) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	if b.admin != nil {
		errs = append(errs, b.admin.Close(ctx))
	}
	if b.server != nil {
		errs = append(errs, b.server.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// measure measures one run on a database of its own.
func (b *bench) measure(ctx context.Context, r *results, x run, round int) error {
	began := time.Now()
	database, drop, err := b.database(ctx, x.lite)
	if err != nil {
		return err
	}
	o, err := b.contest(ctx, x, database)
	if err = errors.Join(err, drop()); err != nil {
		return fmt.Errorf("%s: %w", x.key, err)
	}
	r.Runs[x.key] = append(r.Runs[x.key], o)
	fmt.Fprintf(os.Stderr, "round %d of %d  %-20s %9.0f/s  (%d tasks; %.0f s in all)\n", round+1, b.rounds, x.key,
		o.TasksPerSecond, o.Tasks, time.Since(began).Seconds())
	return nil
}

func (b *bench) contest(ctx context.Context, x run, database string) (measure.Outcome, error) {
	t := x.task
	t.Database = database
	if !x.lite {
		t.ServerPID = b.server.PID()
	}
	switch {
	case x.who == "sluice" && x.verify:
		return b.sluiceVerify(ctx, database, x.arguments()...)
	case x.who == "sluice":
		if x.lite {
			database = "sqlite://" + database
		}
		o, _, err := b.sluiceBench(ctx, database, x.arguments()...)
		return o, err
	}
	return b.inProcess(ctx, x.who, t)
}

// database makes an empty one, on a server that has nothing else to do, and says how to get rid of it.
func (b *bench) database(ctx context.Context, lite bool) (where string, drop func() error, err error) {
	b.count++
	name := fmt.Sprint("bench_", b.count)
	if lite {
		dir := filepath.Join(b.dir, name)
		return filepath.Join(dir, "bench.db"), func() error { return os.RemoveAll(dir) }, os.Mkdir(dir, 0o700)
	}
	u, err := url.Parse(b.server.URL())
	if err != nil {
		return "", nil, err
	}
	u.Path = "/" + name
	drop = func() error {
		_, err := b.admin.Exec(context.WithoutCancel(ctx), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		return err
	}
	if _, err = b.admin.Exec(ctx, "CREATE DATABASE "+name); err == nil {
		_, err = b.admin.Exec(ctx, "CHECKPOINT")
	}
	if err != nil {
		return "", nil, fmt.Errorf("make a database: %w", errors.Join(err, drop()))
	}
	return u.String(), drop, nil
}
