package definition_test

import (
	"context"
	"errors"
	"testing"
)

func TestResolveEndsWithItsContext(t *testing.T) {
	d := echoing(`${{ count(1..9000, any(1..9000, # == 0.5)) }}`)
	if err := d.Check(catalog(t)); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("cancelled")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := task(t, &d, "last").Resolve(ctx, values(sampleInput, nil)); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}
