package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/archive"
	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

type importNeeds struct {
	fx.In
	DB      *db.DB
	Archive *archive.Archive
	Auditor *audit.Auditor
}

// importDocument is what was imported, and the result of verifying it.
type importDocument struct {
	Imported archive.Counts `json:"imported"`
	Verified audit.Report   `json:"verified"`
}

func (c *cli) importCommand() *cobra.Command {
	var as bool
	cmd := &cobra.Command{
		Use:     "import FILE|-",
		Example: "  sluice import history.jsonl\n  ssh elsewhere sluice export --all --ended | sluice import -",
		Short:   "Read a file of `sluice export` into this database",
		Long: `Reads executions into a database that has none of them, and verifies them, in one transaction: all or
nothing. A file that is damaged or cut off, or that no export has written so, is refused before anything is written, and
what is there is never changed. Executions that have not ended are refused too: with --include-open they come along, and
whoever serves this database goes on with them. What ran when the file was written then counts as lost with its worker,
and runs again: see to it that the original does not go on.`,
		Args: arguments(1, 1, "a file, or - for standard input"),
	}
	cmd.Flags().BoolVar(&as, "include-open", false, "import executions that have not ended too")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		in, err := c.seekable(args[0])
		if err != nil {
			return err
		}
		defer func() { err = closing(err, in) }()
		return with(cmd.Context(), c, func(ctx context.Context, n importNeeds) error {
			doc, err := c.load(ctx, n, in, as)
			unsound := errors.Is(err, errNotIntact)
			switch {
			case err != nil && !unsound:
				return explainImport(err)
			case *format == formatJSON:
				err = printJSON(c.stdout, doc)
			case unsound:
				fmt.Fprintf(c.stdout, "nothing was imported: the copy does not verify\n%s", doc.Verified)
			default:
				fmt.Fprintf(c.stdout, "imported %s, %s, %s\n%s", counted(doc.Imported.Executions, "execution"),
					counted(doc.Imported.Tasks, "task"),
					counted(doc.Imported.Events, "event"), doc.Verified)
			}
			if unsound && (err == nil || errors.Is(err, errNotIntact)) {
				err = exitStatus(exitFailed)
			}
			return err
		})
	}
	return cmd
}

func (c *cli) load(ctx context.Context, n importNeeds, in io.ReadSeeker, as bool) (doc importDocument, err error) {
	bar := newBar(c.stderr, n.DB.Now)
	defer bar.clear()
	doc.Imported, err = n.Archive.Import(ctx, in, archive.ImportOptions{
		IncludeOpen: as,
		Progress: func(x archive.Counts) {
			bar.show(0, 0, "read "+counted(x.Executions, "execution")+", "+counted(x.Events, "event"))
		},
		Verify: func(tx db.Tx, ids []dbtype.ID) (err error) { //nolint:contextcheck // it is in tx
			if doc.Verified, err = n.Auditor.VerifyIn(tx, ids); err == nil && !doc.Verified.OK() {
				err = errNotIntact
			}
			return err
		},
	})
	return doc, err
}

// errNotIntact rolls back an import whose executions do not verify.
var errNotIntact = errors.New("the imported executions do not verify")

func explainImport(err error) error {
	switch {
	case errors.Is(err, archive.ErrOpen):
		return withHint(usageError{err},
			"export with --ended, or import with --include-open (`sluice import --help` says what that means)")
	case errors.Is(err, archive.ErrExists):
		return withHint(usageError{err}, "nothing was written: an import never changes what is there")
	case errors.Is(err, archive.ErrFormat), errors.Is(err, archive.ErrTruncated), errors.Is(err, archive.ErrContent):
		return withHint(usageError{err}, "nothing was written")
	}
	return err
}

// seekable opens a file that is read twice. Standard input is copied into a temporary file.
func (c *cli) seekable(path string) (*os.File, error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fileError(err)
		}
		return f, nil
	}
	f, err := os.CreateTemp("", "sluice-import-*")
	if err != nil {
		return nil, fileError(err)
	}
	if err = os.Remove(f.Name()); err == nil { // it exists as long as it is open
		_, err = io.Copy(f, c.stdin)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, closing(fileError(err), f)
	}
	return f, nil
}
