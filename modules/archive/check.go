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
)

// prefixes tell what a line is without reading it whole.
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

// lines hands over the lines of a file, each good until the next.
func lines(in io.Reader, each func(number int, text []byte) error) error {
	r := bufio.NewReaderSize(in, 1<<16)
	var long []byte
	for number := 1; ; {
		part, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, part...)
			continue
		case errors.Is(err, io.EOF) && len(part) == 0 && len(long) == 0:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: line %d has no end", ErrCut, number)
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

// check reads a whole file and sees that it is one, before anything of it is written.
func check(in io.Reader) (trailer, error) {
	var end *trailer
	var counts Counts
	sum := sha256.New()
	err := lines(in, func(number int, text []byte) error {
		if end != nil {
			return fmt.Errorf("%w: line %d comes after the trailer", ErrCut, number)
		}
		if number == 1 {
			var h header
			if err := json.Unmarshal(text, &h); err != nil || h.Format == 0 {
				return fmt.Errorf("%w: its first line is no header", ErrFormat)
			}
			if h.Format != Format {
				return fmt.Errorf("%w that this binary can read: it has format %d, and this is for format %d", ErrFormat, h.Format, Format)
			}
		} else if bytes.HasPrefix(text, []byte(`{"trailer":`)) {
			var l line
			if err := json.Unmarshal(text, &l); err != nil {
				return fmt.Errorf("%w: the trailer: %w", ErrCut, err)
			}
			end = l.Trailer
			return nil
		} else if !tally(&counts, text) {
			return fmt.Errorf("%w: line %d is of no sort that this binary knows", ErrCut, number)
		}
		sum.Write(text)
		return nil
	})
	switch {
	case err != nil:
		return trailer{}, err
	case end == nil:
		return trailer{}, fmt.Errorf("%w: it has no trailer", ErrCut)
	case end.Counts != counts:
		return trailer{}, fmt.Errorf("%w: its trailer counts %+v, and there are %+v", ErrCut, end.Counts, counts)
	case end.SHA256 != hex.EncodeToString(sum.Sum(nil)):
		return trailer{}, fmt.Errorf("%w: its contents are not those that its trailer is about", ErrCut)
	}
	return *end, nil
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
