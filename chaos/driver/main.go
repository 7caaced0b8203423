// Command driver runs the fault tests at full size, in rounds with a database each, and writes a report. It exits
// with status 1 if there was a breach, or if a goal was not reached in time.
//
//	go run ./chaos/driver -minutes 25 -report docs/chaos.md
//	go run ./chaos/driver -only kill,zombie -state bin/chaos.json   # in stages: the state adds up
//	go run ./chaos/driver -rounds 0 -state bin/chaos.json -report docs/chaos.md   # only write what the state holds
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sluiceworks/sluice/chaos"
)

// options are the command line.
type options struct {
	minutes       float64
	scale         float64
	rounds        int
	only          string
	state, report string
}

func main() {
	var o options
	flag.Float64Var(&o.minutes, "minutes", 60, "end the faults after so many minutes, whatever is still missing")
	flag.Float64Var(&o.scale, "scale", 1, "this share of the full size")
	flag.IntVar(&o.rounds, "rounds", 10, "spread the work over so many databases")
	flag.StringVar(&o.only, "only", "", "only these faults, comma-separated: "+
		strings.Join(append(chaos.FullSize(1).Names(), chaos.ForgetfulSize(1).Names()...), ", "))
	flag.StringVar(&o.state, "state", "", "add to the figures in this `file`, and keep them there")
	flag.StringVar(&o.report, "report", "", "write the report to this `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run reports whether all goals were reached without a breach.
func run(ctx context.Context, o options) (ok bool, err error) {
	goal := chaos.FullSize(o.scale).Only(o.only)
	if o.only != "" && len(goal.Strikes) == 0 {
		goal.Transitions, goal.Refused = 0, 0 // only faults that have a round of their own
	}
	total, err := chaos.Load(o.state)
	if err != nil || o.rounds == 0 {
		return finish(total, goal, o, err)
	}
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return false, err
	}
	defer func() {
		if ok {
			err = errors.Join(err, os.RemoveAll(dir))
		} else {
			fmt.Fprintf(os.Stderr, "chaos: the workers' logs and ledgers are in %s\n", dir)
		}
	}()
	goal.Worker, goal.Dir, goal.Progress = filepath.Join(dir, "worker"), dir, os.Stderr
	server, err := prepare(ctx, dir, goal.Worker)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	deadline := time.Now().Add(time.Duration(o.minutes * float64(time.Minute)))
	for n := range o.rounds {
		round := goal.Share(total, o.rounds-n)
		if round.Limit = time.Until(deadline); round.Limit <= 0 || len(goal.Missing(total)) == 0 {
			break
		}
		report, err := chaos.Run(ctx, round, server)
		total.Add(report)
		fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", n+1, o.rounds, report.Summary())
		if err := errors.Join(err, total.Store(o.state)); err != nil {
			return false, err
		}
	}
	if err := forget(ctx, dir, &goal, &total, o, deadline); err != nil {
		return false, err
	}
	return finish(total, goal, o, nil)
}

// forget runs the faults that make a server forget commits, on a separate server, and adds them to the goal and to
// the total.
func forget(
	ctx context.Context, dir string, goal *chaos.Config, total *chaos.Report, o options, deadline time.Time,
) (err error) {
	c := chaos.ForgetfulSize(o.scale).Only(o.only)
	if len(c.Strikes) == 0 {
		return nil
	}
	c.Worker, c.Dir, c.Progress = goal.Worker, goal.Dir, goal.Progress
	files := filepath.Join(dir, "forgetful")
	if err := os.Mkdir(files, 0o755); err != nil {
		return err
	}
	server, err := chaos.StartServer(ctx, files, chaos.ForgetfulSettings...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	goal.Strikes = maps.Clone(goal.Strikes)
	maps.Copy(goal.Strikes, c.Strikes)
	round := c.Share(*total, 1)
	if round.Limit = time.Until(deadline); round.Limit <= 0 || len(c.Missing(*total)) == 0 {
		return nil
	}
	report, err := chaos.Run(ctx, round, server)
	total.Add(report)
	fmt.Fprintf(os.Stderr, "the round of forgotten commits: %s\n", report.Summary())
	return errors.Join(err, total.Store(o.state))
}

func prepare(ctx context.Context, dir, worker string) (*chaos.Server, error) {
	files := filepath.Join(dir, "pg")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(files, 0o755)); err != nil {
		return nil, err
	}
	if err := chaos.Build(ctx, worker); err != nil {
		return nil, err
	}
	return chaos.StartServer(ctx, files, "shared_buffers=512MB", "max_wal_size=4GB")
}

// finish writes the report and prints breaches and missed goals.
func finish(total chaos.Report, goal chaos.Config, o options, failure error) (bool, error) {
	if failure != nil {
		return false, failure
	}
	if o.report != "" {
		if err := os.WriteFile(o.report, []byte(total.Markdown(goal)), 0o600); err != nil {
			return false, err
		}
	}
	missing := goal.Missing(total)
	for _, b := range total.Breaches {
		fmt.Fprintln(os.Stderr, "breach:", b)
	}
	for _, m := range missing {
		fmt.Fprintln(os.Stderr, "not reached:", m)
	}
	return len(missing) == 0 && len(total.Breaches) == 0, nil
}
