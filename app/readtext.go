package app

import (
	"context"
	"fmt"
	"io"
	"os"
)

// readText reads a file that the command line names, or standard input for "-", of at most limit bytes. The file may
// be a pipe, as in a shell's <(COMMAND), which may never get a writer. The end of ctx ends the wait.
func readText(ctx context.Context, path string, stdin io.Reader, limit int) ([]byte, error) {
	type result struct {
		raw []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		raw, err := readBounded(path, stdin, limit)
		done <- result{raw, err}
	}()
	select {
	case r := <-done:
		return r.raw, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("read %s: %w", path, context.Cause(ctx))
	}
}

func readBounded(path string, stdin io.Reader, limit int) ([]byte, error) {
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fileError(err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if err != nil {
		return nil, fileError(err)
	}
	if len(raw) > limit {
		return nil, usagef("%s: it is larger than the limit of %d bytes", path, limit)
	}
	return raw, nil
}
