package tasks

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTypedHandlerNeedsNoWorker checks that a handler made by NewHandler may use each function and writer of an
// Attempt that a test has made without them.
func TestTypedHandlerNeedsNoWorker(t *testing.T) {
	t.Parallel()
	h := NewHandler("all", func(ctx context.Context, _ struct{}) (string, error) {
		a, _ := AttemptFrom(ctx)
		fmt.Fprintln(a.Stdout, "out")
		fmt.Fprintln(a.Stderr, "err")
		if err := a.MakeRunDir(); err == nil {
			return "", fmt.Errorf("an attempt without a directory of the run has made one")
		}
		if err := a.Annotate(ctx, map[string]int{"rows": 3}); err != nil {
			return "", err
		}
		for _, wrong := range []any{
			3, "text", nil, func() {},
			map[string]string{"x": string(make([]byte, MaxOutput))},
		} {
			if err := a.Annotate(ctx, wrong); err == nil {
				return "", fmt.Errorf("an annotation of %T was accepted", wrong)
			}
		}
		started, err := a.FirstStarted(ctx)
		if since := a.Now().Sub(started); since < 0 || since > time.Minute {
			return "", fmt.Errorf("it started %s ago", since)
		}
		return "done", err
	})
	if out, err := h.Run(t.Context(), &Attempt{}); err != nil || string(out) != `"done"` {
		t.Errorf("%s %v", out, err)
	}
}

// TestSetDefaultsKeepsWhatIsSet checks that only nil fields are set, and that MakeRunDir creates RunDir.
func TestSetDefaultsKeepsWhatIsSet(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	dir := filepath.Join(t.TempDir(), "a", "b")
	a := &Attempt{Now: func() time.Time { return at }, Stdout: io.MultiWriter(), RunDir: dir}
	out := a.Stdout
	a.SetDefaults()
	if got, err := a.FirstStarted(t.Context()); err != nil || !got.Equal(at) || !a.Now().Equal(at) || a.Stdout != out {
		t.Errorf("%v %v %v", got, err, a.Now())
	}
	for range 2 {
		if err := a.MakeRunDir(); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
}
