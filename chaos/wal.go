package chaos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// image is a SQLite database after a crash: a file, and a log of commits of which any part at the end may be missing.
type image struct {
	file     []byte
	wal      []byte
	from, to int64 // where the log may be cut: after what has been copied into the file
}

// The layout of a log and of its index: https://sqlite.org/walformat.html.
const (
	walHeader   = 32
	frameHeader = 24
	indexPage   = 14  // uint16, the size of a page
	indexFrames = 16  // uint32, the frames that are valid
	indexCopied = 128 // uint32, the frames whose copying into the file has begun
	indexSize   = 136
)

// takeImage copies a database that nobody writes to. The log may be cut only after the frames that a checkpoint has
// begun to copy. A checkpoint makes those durable first, so that no crash can lose them.
func takeImage(path string) (image, error) {
	file, errFile := os.ReadFile(path)
	wal, errWAL := os.ReadFile(path + "-wal")
	index, errIndex := os.ReadFile(path + "-shm")
	if err := errors.Join(errFile, errWAL, errIndex); err != nil {
		return image{}, fmt.Errorf("copy the database: %w", err)
	}
	if len(index) < indexSize {
		return image{}, errors.New("the index of the log is too short")
	}
	size := int64(binary.NativeEndian.Uint16(index[indexPage:]))
	if size == 1 {
		size = 1 << 16
	}
	at := func(offset int) int64 {
		return walHeader + int64(binary.NativeEndian.Uint32(index[offset:]))*(frameHeader+size)
	}
	i := image{file: file, wal: wal, from: at(indexCopied), to: at(indexFrames)}
	if i.from > i.to || i.to > int64(len(wal)) {
		return image{}, fmt.Errorf("the log has %d bytes, and its index says %d to %d", len(wal), i.from, i.to)
	}
	return i, nil
}

// restore writes the image with its log cut to the given length.
func (i image) restore(path string, length int64) error {
	return errors.Join(os.WriteFile(path, i.file, 0o600), os.WriteFile(path+"-wal", i.wal[:length], 0o600))
}

// CutReport is the result of cutting the log at random lengths.
type CutReport struct {
	Cuts      int
	Fewest    int // events left by one of the cuts
	Whole     int // events without a cut
	Breaches  []string
	Remaining string // path of the last one, with which to continue
}

// cutLog cuts the log of an image at random lengths. After each cut, the database must verify, and its history must
// be a prefix of the whole one: commits are lost only from the end, and as a whole.
func cutLog(ctx context.Context, i image, dir string, cuts int) (r CutReport, err error) {
	whole, _, err := i.examine(ctx, filepath.Join(dir, "whole.db"), i.to)
	if err != nil {
		return r, err
	}
	r.Cuts, r.Whole, r.Fewest = cuts, len(whole), len(whole)
	for n := range cuts {
		length := i.from + rand.Int64N(i.to-i.from+1)
		r.Remaining = filepath.Join(dir, fmt.Sprintf("cut-%d.db", n))
		left, report, err := i.examine(ctx, r.Remaining, length)
		if err != nil {
			return r, fmt.Errorf("cut at %d of %d..%d: %w", length, i.from, i.to, err)
		}
		r.Fewest = min(r.Fewest, len(left))
		if !report.OK() {
			r.Breaches = append(r.Breaches, fmt.Sprintf("cut at %d: %s", length, report))
		}
		if len(left) > len(whole) || !slices.Equal(left, whole[:len(left)]) {
			r.Breaches = append(r.Breaches,
				fmt.Sprintf("cut at %d: the history is no beginning of the whole one", length))
		}
	}
	return r, nil
}

// examine opens a cut image as the program does, and returns its events in the order in which they were written.
func (i image) examine(
	ctx context.Context, path string, length int64,
) (events []dbtype.ID, report audit.Report, err error) {
	if err := i.restore(path, length); err != nil {
		return nil, report, err
	}
	d, err := openMigrated(ctx, "sqlite://"+path)
	if err != nil {
		return nil, report, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	err = d.Query(ctx, `SELECT id FROM {execution_events} ORDER BY sequence_num`, nil,
		func(scan db.Scan) error {
			var id dbtype.ID
			err := scan(&id)
			events = append(events, id)
			return err
		})
	if err != nil {
		return nil, report, err
	}
	report, err = audit.New(d).Verify(ctx, audit.Options{})
	return events, report, err
}
