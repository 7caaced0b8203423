package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/archive"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/db"
)

type exportNeeds struct {
	fx.In
	DB      *db.DB
	Archive *archive.Archive

	Executions *engine.Repository
}

const (
	formatLines = "jsonl"
	formatCSV   = "csv"
)

func (c *cli) exportCommand() *cobra.Command {
	var all, ended, force bool
	var since, path string
	format := formatLines
	cmd := &cobra.Command{
		Use:   "export [ID…|--all|--since TIME]",
		Short: "Write executions with all that belongs to them into a file",
		Long: `Writes executions with their definitions, tasks, events, outbox rows and logs as JSON Lines, for ` +
			"`sluice import`" + `.
Each execution is of one moment, and nobody waits. The same executions give the same bytes on SQLite and PostgreSQL.
-o csv writes the events alone, for reading elsewhere.`,
		Example: "  sluice export --all --ended --file history.jsonl\n  sluice export --since 7d -o csv > events.csv",
		Args:    cobra.ArbitraryArgs,
	}
	cmd.Flags().BoolVar(&all, "all", false, "all executions")
	cmd.Flags().BoolVar(&ended, "ended", false, "none that is still open")
	cmd.Flags().StringVar(&since, "since", "",
		"those that are open, or were created or ended at `TIME` or later: an instant, or how long ago")
	cmd.Flags().StringVar(&path, "file", "",
		"write to `FILE`, which appears when it is whole (default: standard output)")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file of --file if it is there")
	cmd.Flags().VarP(&choice{value: &format, allowed: []string{formatLines, formatCSV}, kind: "FORMAT"}, "format", "o",
		"`FORMAT` of the file: jsonl, or csv for the events alone")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkIDs(args...); err != nil {
			return err
		}
		switch {
		case len(args) > 0 && (all || since != "" || ended):
			return withHint(usagef("ids, and --all, --since or --ended, don't go together"), "leave one out")
		case len(args) == 0 && !all && since == "":
			return withHint(usagef("%s needs ids, --all or --since", cmd.CommandPath()),
				"`sluice list` shows the executions of this database")
		}
		if err := unused(path); err != nil && !force {
			return withHint(err, "name another file, or replace this one with --force")
		}
		return with(cmd.Context(), c, func(ctx context.Context, n exportNeeds) error {
			from, err := parseInstant("--since", since, n.DB.Now())
			if err != nil {
				return err
			}
			ids, err := resolveIDs(ctx, n.Executions, args)
			if err != nil {
				return err
			}
			return c.export(ctx, n, archive.Selection{IDs: ids, Since: from, Ended: ended}, format, path)
		})
	}
	return cmd
}

func (c *cli) export(ctx context.Context, n exportNeeds, choice archive.Selection, format, path string) (err error) {
	bar := newBar(c.stderr, n.DB.Now)
	choice.Progress = func(x archive.Counts) {
		bar.show(0, 0, "written "+counted(x.Executions, "execution")+", "+counted(x.Events, "event"))
	}
	write := n.Archive.Export
	if format == formatCSV {
		write = n.Archive.ExportEvents
	}
	var counts archive.Counts
	err = toFile(path, c.stdout.Data(), func(out io.Writer) (err error) {
		counts, err = write(ctx, choice, out)
		return err
	})
	bar.clear()
	if err == nil {
		fmt.Fprintf(c.stderr, "exported %s, %s\n", counted(counts.Executions, "execution"),
			counted(counts.Events, "event"))
	}
	return err
}

// unused returns an error if a file exists at the path.
func unused(path string) error {
	if path == "" {
		return nil
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil //nolint:nilerr // writing reports what is wrong with the path
	}
	return usagef("%s exists", path)
}

// toFile writes a file under another name and renames it when it is complete, so that a crash leaves the old file or
// the new one. Without a path it writes to out.
func toFile(path string, out io.Writer, write func(io.Writer) error) error {
	if path == "" {
		return write(out)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*")
	if err != nil {
		return fileError(err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = closing(err, f); err == nil {
		if err = os.Rename(f.Name(), path); err == nil {
			return nil
		}
		err = fileError(err)
	}
	return errors.Join(err, os.Remove(f.Name()))
}
