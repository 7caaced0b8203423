package http

import (
	"errors"
	"fmt"
	"io"

	"github.com/sluiceworks/sluice/modules/tasks"
)

var errTooLarge = errors.New("the body is too large")

// limitedBody reads a body of at most limit bytes. Read returns errTooLarge once the body exceeds the limit.
type limitedBody struct {
	r     io.Reader
	limit int64
	n     int64 // bytes read
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if left := b.limit + 1 - b.n; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.n > b.limit {
		return n, errTooLarge
	}
	return n, err
}

// bodyError classifies an error from reading a body: KindInvalidOutput if the body is too large, else KindError.
func bodyError(err error, limit int64) error {
	if errors.Is(err, errTooLarge) {
		return tasks.WithKind(tasks.KindInvalidOutput, fmt.Errorf("%w: more than %d bytes", err, limit))
	}
	return tasks.WithKind(tasks.KindError, fmt.Errorf("read the answer: %w", err))
}
