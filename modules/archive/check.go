package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// prefixes identify the kind of a line without decoding it.
var prefixes = []struct {
	prefix string
	of     func(c *Counts) *int64
}{
	{`{"event":`, func(c *Counts) *int64 { return &c.Events }},
	{`{"task":`, func(c *Counts) *int64 { return &c.Tasks }},
	{`{"execution":`, func(c *Counts) *int64 { return &c.Executions }},
	{`{"log":`, func(c *Counts) *int64 { return &c.Logs }},
	{`{"outbox":`, func(c *Counts) *int64 { return &c.Outbox }},
	{`{"definition":`, func(c *Counts) *int64 { return &c.Definitions }},
}

// lines calls each with every line of a file. text is valid until each returns. A last line without a line feed, or a
// line longer than maxLine, is ErrTruncated.
func lines(in io.Reader, each func(number int, text []byte) error) error {
	r := bufio.NewReaderSize(in, 1<<16)
	var long []byte
	for number := 1; ; {
		part, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if long = append(long, part...); len(long) > maxLine {
				return fmt.Errorf("%w: line %d has more than %d bytes", ErrTruncated, number, maxLine)
			}
			continue
		case errors.Is(err, io.EOF) && len(part) == 0 && len(long) == 0:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: line %d has no end", ErrTruncated, number)
		case err != nil:
			return fmt.Errorf("read the export: %w", err)
		}
		text := part
		if len(long) > 0 {
			long = append(long, part...)
			text = long
		}
		if err := each(number, text); err != nil {
			return err
		}
		long = long[:0]
		number++
	}
}

// check reads a whole file and validates it before anything is written: the file must be complete, each line must be
// one that an export writes and within its bounds, and the trailer must be correct. It returns the trailer and the
// executions' ids.
func check(in io.Reader) (trailer, []dbtype.ID, error) {
	var end *trailer
	var counts Counts
	v := &validator{definitions: map[string]bool{}, page: map[dbtype.ID]int64{}, tasks: map[dbtype.ID]dbtype.ID{}}
	var wrong error // about the content of a line; reported only if the file is complete
	sum := sha256.New()
	err := lines(in, func(number int, text []byte) error {
		if end != nil {
			return fmt.Errorf("%w: line %d comes after the trailer", ErrTruncated, number)
		}
		if number == 1 {
			var h header
			if err := json.Unmarshal(text, &h); err != nil || h.Format == 0 {
				return fmt.Errorf("%w: its first line is not a header", ErrFormat)
			}
			if h.Format != FormatVersion {
				return fmt.Errorf("%w that this binary can read: it has format %d, and this is for format %d",
					ErrFormat, h.Format, FormatVersion)
			}
		} else if bytes.HasPrefix(text, []byte(`{"trailer":`)) {
			var l line
			if err := json.Unmarshal(text, &l); err != nil {
				return fmt.Errorf("%w: the trailer: %w", ErrTruncated, err)
			}
			end = l.Trailer
			return nil
		} else if !tally(&counts, text) {
			return fmt.Errorf("%w: line %d is of no sort that this binary knows", ErrTruncated, number)
		} else if err := v.line(text); err != nil && wrong == nil {
			wrong = fmt.Errorf("%w: line %d: %w", ErrContent, number, err)
		}
		sum.Write(text)
		return nil
	})
	switch {
	case err != nil:
		return trailer{}, nil, err
	case end == nil:
		return trailer{}, nil, fmt.Errorf("%w: it has no trailer", ErrTruncated)
	case end.Counts != counts:
		return trailer{}, nil,
			fmt.Errorf("%w: its trailer counts %+v, and there are %+v", ErrTruncated, end.Counts, counts)
	case end.SHA256 != hex.EncodeToString(sum.Sum(nil)):
		return trailer{}, nil, fmt.Errorf("%w: its contents are not those that its trailer is about", ErrTruncated)
	case wrong != nil:
		return trailer{}, nil, wrong
	case end.Open != v.open || end.SequenceNum != v.highest:
		return trailer{}, nil,
			fmt.Errorf("%w: its trailer has %d open executions and the sequence_num %d, and there are %d and %d",
				ErrContent, end.Open, end.SequenceNum, v.open, v.highest)
	}
	return *end, v.ids, nil
}

func tally(c *Counts, text []byte) bool {
	for _, p := range prefixes {
		if bytes.HasPrefix(text, []byte(p.prefix)) {
			*p.of(c)++
			return true
		}
	}
	return false
}
