// Command bench compares sluice with other engines and with the floor of hand-written SQL, all on one database server
// of its own, in one go: see docs/benchmarks.md, which it writes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sluiceworks/sluice/bench/measure"
)

// options are what the command line says.
type options struct {
	only              []string
	rounds            int
	scale             float64
	out, render, docs string
	sluice            string
	revision          string
	list              bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == contestantCommand {
		return contestant(ctx, args[1])
	}
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.list {
		for _, f := range figures() {
			fmt.Printf("%-14s %s\n", f.name, f.title)
		}
		return nil
	}
	if o.render == "" {
		if err := measureAll(ctx, o); err != nil {
			return err
		}
		o.render = o.out
	}
	text, err := os.ReadFile(o.render)
	if err != nil {
		return err
	}
	var r results
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("read %s: %w", o.render, err)
	}
	page := render(&r)
	if o.docs == "" {
		fmt.Print(page)
		return nil
	}
	return os.WriteFile(o.docs, []byte(page), 0o644)
}

func parse(args []string) (o options, err error) {
	self, err := os.Executable()
	if err != nil {
		return o, err
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := f.String("only", "", "measure these `FIGURES` alone, separated by commas (-list names them)")
	f.IntVar(&o.rounds, "rounds", 5, "measure everything short `N` times, in turn")
	f.Float64Var(&o.scale, "scale", 1, "work on `PART` of the usual number of tasks, for a quick look")
	f.StringVar(&o.out, "out", "results.json", "write all that was measured to `FILE`")
	f.StringVar(&o.render, "render", "", "measure nothing, and write the page from `FILE`, an earlier -out")
	f.StringVar(&o.docs, "docs", "", "write the page to `FILE` (default: to stdout)")
	f.StringVar(&o.sluice, "sluice", filepath.Join(filepath.Dir(self), "sluice"), "the `PROGRAM` to measure")
	f.StringVar(&o.revision, "revision", "", "what to call the `VERSION` of sluice that is measured")
	f.BoolVar(&o.list, "list", false, "name the figures")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.rounds < 1 || o.scale <= 0 {
		return o, errors.New("-rounds must be at least 1, and -scale greater than 0")
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	return o, nil
}

// contestantCommand makes this program one contestant, so that each is measured in a process of its own.
const contestantCommand = "contestant"

func contestant(ctx context.Context, text string) error {
	var c struct {
		Name string       `json:"name"`
		Task measure.Task `json:"task"`
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	run, ok := contestants[c.Name]
	if !ok {
		return fmt.Errorf("no contestant %q", c.Name)
	}
	o, err := run(ctx, c.Task)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return json.NewEncoder(os.Stdout).Encode(o)
}
