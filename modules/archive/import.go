package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/sluiceworks/sluice/platform/db"
)

// Rows are written in sets of so many, or of fewer if their lines are long.
const (
	setRows  = 512
	setBytes = 4 << 20
)

// Import is how a file is imported.
type Import struct {
	AsTheyAre bool         // open executions too: whoever serves the database goes on with them
	Progress  func(Counts) // called now and then with what has been written, if set
}

// Import writes a file into the database, all of it or nothing, in one transaction. It fails with ErrFormat or ErrCut for a file that
// is not whole, with ErrOpen for one with open executions unless they are asked for, and with ErrExists if the database has one of
// its executions already, or an idempotency key of one. Sequence numbers keep their order, and in an empty database their values.
func (a *Archive) Import(ctx context.Context, in io.ReadSeeker, o Import) (Counts, error) {
	end, err := check(in)
	if err != nil {
		return Counts{}, err
	}
	if end.Open > 0 && !o.AsTheyAre {
		return Counts{}, fmt.Errorf("%w: %d of %d", ErrOpen, end.Open, end.Executions)
	}
	base, err := a.db.Reserve(ctx, "execution_events", "sequence_num", end.SequenceNum)
	if err != nil {
		return Counts{}, err
	}
	err = a.db.Transaction(ctx, func(tx db.Tx) error {
		if _, err := in.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("read the export: %w", err)
		}
		l := &loader{tx: tx, base: base, progress: o.Progress}
		err := lines(in, func(number int, text []byte) error {
			if number == 1 || bytes.HasPrefix(text, []byte(`{"trailer":`)) {
				return nil
			}
			if err := l.take(text); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return l.flush()
	})
	if err != nil {
		return Counts{}, err
	}
	return end.Counts, nil
}

// loader gathers lines of one sort until there is a set to be written.
type loader struct {
	tx       db.Tx
	base     int64 // what sequence numbers of the file are counted from
	progress func(Counts)

	kind    string // of what is gathered
	size    int
	pending batch
	written Counts
}

func (l *loader) take(text []byte) error {
	var x line
	if err := json.Unmarshal(text, &x); err != nil {
		return fmt.Errorf("%w: %w", ErrCut, err)
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

// flush writes what is gathered.
func (l *loader) flush() error {
	if l.pending.rows == 0 {
		return nil
	}
	err := l.pending.write(l.tx, l.base)
	l.pending, l.size = batch{}, 0
	if err == nil && l.progress != nil {
		l.progress(l.written)
	}
	return err
}
