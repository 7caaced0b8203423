package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Rows are written in sets of at most setRows, or fewer once their lines reach setBytes.
const (
	setRows  = 512
	setBytes = 4 << 20
)

// ImportOptions configures an import.
type ImportOptions struct {
	IncludeOpen bool         // import open executions too; the database's workers will continue them
	Progress    func(Counts) // called after each set with the counts so far; may be nil

	// Verify checks the imported executions within the transaction. Its error rolls the import back. It may be nil.
	Verify func(tx db.Tx, ids []dbtype.ID) error
}

// Import writes a file into the database in one transaction, completely or not at all. It fails with:
//
//   - ErrFormat or ErrTruncated if the file is not a complete export,
//   - ErrContent if the file contains what no export writes,
//   - ErrOpen if the file has open executions and IncludeOpen is not set,
//   - ErrExists if the database already has one of the executions or one of their idempotency keys.
//
// Sequence numbers keep their order and, in an empty database, their values. Nothing is written and no number is
// reserved before the file has been validated.
func (a *Archive) Import(ctx context.Context, in io.ReadSeeker, o ImportOptions) (Counts, error) {
	end, ids, err := check(in)
	if err != nil {
		return Counts{}, err
	}
	if end.Open > 0 && !o.IncludeOpen {
		return Counts{}, fmt.Errorf("%w: %d of %d", ErrOpen, end.Open, end.Executions)
	}
	registered, err := a.prepare(ctx, ids)
	if err != nil {
		return Counts{}, err
	}
	base, err := a.db.AllocateSequence(ctx, "execution_events", "sequence_num", end.SequenceNum)
	if err != nil {
		return Counts{}, err
	}
	err = a.db.Transaction(ctx, func(tx db.Tx) error {
		if err := load(in, &loader{
			tx: tx, base: base, progress: o.Progress,
			pending: batch{registered: registered},
		}); err != nil {
			return err
		}
		if o.Verify == nil {
			return nil
		}
		return o.Verify(tx, ids)
	})
	if err != nil {
		return Counts{}, err
	}
	return end.Counts, nil
}

// prepare checks that the database has none of the executions, before numbers are reserved for their events. It
// returns the pipelines that have a registered definition.
func (a *Archive) prepare(ctx context.Context, ids []dbtype.ID) (registered map[string]bool, err error) {
	registered = map[string]bool{}
	err = a.db.Snapshot(ctx, func(ctx context.Context) error {
		found, err := a.ids(ctx, `SELECT p.id FROM $x JOIN {pipeline_executions} AS p ON p.id = x.id`,
			db.Args{"x": db.IDRows(ids)})
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return fmt.Errorf("pipeline execution %s %w", found[0], ErrExists)
		}
		return a.db.Query(ctx,
			`SELECT DISTINCT pipeline_name FROM {pipeline_definitions} WHERE registered_at IS NOT NULL`, nil,
			func(scan db.Scan) error {
				var name string
				err := scan(&name)
				registered[name] = true
				return err
			})
	})
	return registered, err
}

func load(in io.ReadSeeker, l *loader) error {
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the export: %w", err)
	}
	err := lines(in, func(number int, text []byte) error {
		if number == 1 || bytes.HasPrefix(text, []byte(`{"trailer":`)) {
			return nil
		}
		if err := l.add(text); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return l.flush()
}

// loader collects lines of one kind until a set is complete.
type loader struct {
	tx       db.Tx
	base     int64 // added to the file's sequence numbers
	progress func(Counts)

	kind    string // of the collected lines
	size    int
	pending batch
	written Counts
}

func (l *loader) add(text []byte) error {
	var x line
	if err := json.Unmarshal(text, &x); err != nil {
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	kind, _, _ := bytes.Cut(text, []byte(`:`))
	if string(kind) != l.kind || l.pending.rows >= setRows || l.size >= setBytes {
		if err := l.flush(); err != nil {
			return err
		}
		l.kind = string(kind)
	}
	l.size += len(text)
	l.pending.add(&x)
	l.written.count(&x)
	return nil
}

// flush writes the collected lines.
func (l *loader) flush() error {
	if l.pending.rows == 0 {
		return nil
	}
	err := l.pending.write(l.tx, l.base)
	l.pending, l.size = batch{registered: l.pending.registered}, 0
	if err == nil && l.progress != nil {
		l.progress(l.written)
	}
	return err
}
