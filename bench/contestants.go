package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/sluiceworks/sluice/bench/dbos"
	"github.com/sluiceworks/sluice/bench/floor"
	"github.com/sluiceworks/sluice/bench/goworkflows"
	"github.com/sluiceworks/sluice/bench/measure"
	"github.com/sluiceworks/sluice/bench/riverlite"
	"github.com/sluiceworks/sluice/bench/riverpg"
)

// contestants are those that this program holds. sluice is measured as a program.
var contestants = map[string]func(context.Context, measure.Task) (measure.Outcome, error){
	"floor":       floor.Postgres,
	"lite-floor":  floor.SQLite,
	"river":       riverpg.Run,
	"riverlite":   riverlite.Run,
	"dbos":        dbos.Run,
	"goworkflows": goworkflows.Run,
}

// inProcess runs a contestant of this program's in a process of its own.
func (b *bench) inProcess(ctx context.Context, name string, t measure.Task) (o measure.Outcome, err error) {
	self, err := os.Executable()
	if err != nil {
		return o, err
	}
	text, err := json.Marshal(map[string]any{"name": name, "task": t})
	if err != nil {
		return o, err
	}
	out, err := output(ctx, nil, self, contestantCommand, string(text))
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(out, &o)
}

// output runs a program to its end, or until ctx ends, and gives its stdout.
func output(ctx context.Context, env []string, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, append(os.Environ(), env...)
	// A contestant that is interrupted leaves its own database, and nothing else.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.Bytes(), nil
}

// shown are the modules whose versions matter.
var shown = map[string]bool{
	"github.com/riverqueue/river": true, "github.com/dbos-inc/dbos-transact-golang": true,
	"github.com/cschleiden/go-workflows": true,
	"github.com/jackc/pgx/v5":            true, "github.com/mattn/go-sqlite3": true, "modernc.org/sqlite": true,
}

func versions() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var list []string
	for _, m := range info.Deps {
		if shown[m.Path] {
			list = append(list, m.Path+" "+m.Version)
		}
	}
	return strings.Join(list, ", ")
}
