package tasks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Attempt is one attempt of one task, as passed to its handler. A worker sets all fields. A test that makes an Attempt
// may leave fields unset: SetDefaults, which handlers made by NewHandler call, replaces the functions and writers that
// are nil.
type Attempt struct {
	PipelineExecutionID dbtype.ID
	TaskExecutionID     dbtype.ID
	PipelineName        string
	TaskName            string
	Number              int
	Resumed             bool // the attempt continues after a deferral
	Worker              string
	With                json.RawMessage   // the task's `with` with evaluated expressions; a JSON object
	Env                 map[string]string // the task's `env`; for a command also the values of its expressions
	Input               json.RawMessage   // the run's input; a JSON object
	// outputs of the dependencies that this task may read; null for a dependency without output
	Needs          map[string]json.RawMessage
	Stdout, Stderr io.Writer // stored per attempt up to MaxLog; safe for concurrent use
	Exit           *int      // the exit code, set by a handler whose command succeeded
	// RunDir is the absolute path of the run's directory on this machine; empty if the process has none. It may not
	// exist yet. MakeRunDir creates it with access for the current user only, and does nothing if it exists. It fails
	// if the process has no directories of runs.
	RunDir     string
	MakeRunDir func() error
	// Annotate appends an annotation, which is encoded as a JSON object of at most MaxOutput bytes, to the history at
	// once, in a transaction of its own.
	Annotate func(ctx context.Context, data any) error
	// Now returns the time of the database's clock, which decides when a deferral is due. A handler must not compare
	// deadlines with the local clock: if that is behind, the handler defers itself repeatedly until the clocks agree.
	Now func() time.Time
	// FirstStarted returns when the handler was first started, by the database's clock. A failed attempt and an
	// operator's retry reset the time; a deferral, a recovery and a release do not. A handler that defers itself
	// measures its waiting time from it, because every call of Run starts from the beginning.
	FirstStarted func(ctx context.Context) (time.Time, error)
}

// SetDefaults sets each function and writer that is nil. Stdout and Stderr discard what is written. Now returns the
// local time, and FirstStarted the time of the call of SetDefaults. MakeRunDir creates RunDir, and fails if that is
// empty. Annotate checks that its data is a JSON object of at most MaxOutput bytes, and discards it.
//
// The test of a Handler that was not made by NewHandler calls SetDefaults before it calls Run.
func (a *Attempt) SetDefaults() {
	if a.Stdout == nil {
		a.Stdout = io.Discard
	}
	if a.Stderr == nil {
		a.Stderr = io.Discard
	}
	if a.MakeRunDir == nil {
		a.MakeRunDir = a.makeRunDir
	}
	if a.Annotate == nil {
		a.Annotate = discardAnnotation
	}
	if a.Now == nil {
		a.Now = time.Now //nolint:forbidigo // an attempt without a worker has no database
	}
	if a.FirstStarted == nil {
		started := a.Now()
		a.FirstStarted = func(context.Context) (time.Time, error) { return started, nil }
	}
}

func (a *Attempt) makeRunDir() error {
	if a.RunDir == "" {
		return errors.New("this process keeps no directories of runs")
	}
	return os.MkdirAll(a.RunDir, 0o700)
}

func discardAnnotation(_ context.Context, data any) error {
	doc, err := json.Marshal(data)
	switch {
	case err != nil:
		return fmt.Errorf("annotation: %w", err)
	case len(doc) > MaxOutput:
		return fmt.Errorf("annotation: it has %d bytes, at most %d are stored", len(doc), MaxOutput)
	case !bytes.HasPrefix(doc, []byte("{")):
		return errors.New("annotation: its data must be a JSON object")
	}
	return nil
}
