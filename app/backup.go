package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/platform/db"
)

type backupNeeds struct {
	fx.In
	DB *db.DB
}

// backupDocument is what was copied, and the result of verifying the copy.
type backupDocument struct {
	File     string       `json:"file"`
	Bytes    int64        `json:"bytes"`
	Verified audit.Report `json:"verified"`
}

func (c *cli) backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy a SQLite database into a file, and verify the copy",
		Long: `Copies the tenant's SQLite database, as of one moment, into a new file, and verifies the copy. Servers
may go on working meanwhile. Copying the file by other means misses what is still in its log. To restore, stop what uses
the database, remove its file and the files -wal and -shm beside it, and put the copy in its place. Exit code 1 if the
verification finds a breach: the copy is kept, and the database has the same breach.
For PostgreSQL use pg_dump or pg_basebackup.`,
		Example: "  sluice backup /backups/sluice-$(date +%F).db",
		Args:    arguments(1, 1, "the name of a new file"),
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd.Context(), c, func(ctx context.Context, n backupNeeds) error {
			doc, err := c.backup(ctx, n, args[0])
			var path *fs.PathError
			if errors.Is(err, db.ErrNoBackup) || errors.Is(err, db.ErrFileExists) || errors.As(err, &path) {
				err = usageError{err}
			}
			if err != nil {
				return err
			}
			if *format == formatJSON {
				err = printJSON(c.stdout, doc)
			} else {
				fmt.Fprintf(c.stdout, "copied %s to %s\n%s", bytesOf(doc.Bytes), doc.File, doc.Verified)
			}
			if err == nil && !doc.Verified.OK() {
				err = exitStatus(exitFailed) // the copy is as good as the database, and is kept
			}
			return err
		})
	}
	return cmd
}

// backup writes the copy under another name and renames it after it was verified, so a file of that name was
// verified.
func (c *cli) backup(ctx context.Context, n backupNeeds, path string) (doc backupDocument, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return doc, fileError(err)
	}
	if _, err := os.Lstat(path); err == nil {
		return doc, fmt.Errorf("%w: %s", db.ErrFileExists, path)
	}
	partial := path + ".partial"
	if err := n.DB.Backup(ctx, partial); err != nil {
		return doc, fmt.Errorf("back up to %s: %w", path, err)
	}
	doc.File = path
	doc.Verified, err = c.verifyCopy(ctx, partial)
	if err != nil {
		return doc, errors.Join(err, removeDatabase(partial))
	}
	info, err := os.Stat(partial)
	if err != nil {
		return doc, fileError(err)
	}
	doc.Bytes = info.Size()
	if err := os.Link(partial, path); err != nil { // unlike a rename, a link replaces nothing
		return doc, errors.Join(fileError(err), removeDatabase(partial))
	}
	if err := os.Remove(partial); err != nil {
		return doc, fileError(err)
	}
	return doc, nil
}

// verifyCopy verifies the whole history in a copy.
func (c *cli) verifyCopy(ctx context.Context, path string) (report audit.Report, err error) {
	d, err := db.OpenExisting(ctx, "sqlite://"+path)
	if err != nil {
		return report, err
	}
	defer func() { err = closing(err, d) }()
	ctx = db.WithTenant(ctx, db.DefaultTenant)
	bar := newBar(c.stderr, d.Now)
	defer bar.clear()
	return audit.New(d).Verify(ctx, audit.Options{MaxViolations: 1000, Progress: bar.verified})
}

func removeDatabase(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
