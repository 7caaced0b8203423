package shell

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// workerScript is the variable that turns the test binary into a worker that only runs the script in it, because some
// tests kill a whole worker.
const workerScript = "SHELL_TEST_WORKER_SCRIPT"

func TestMain(m *testing.M) {
	if script, ok := os.LookupEnv(workerScript); ok {
		c := call(script)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		h := New()
		_, err := h.Run(context.Background(), c)
		fmt.Println("ended", errors.Join(err, h.Close()))
		return
	}
	goleak.VerifyTestMain(m)
}

// handler returns a handler that is closed at the end of the test.
func handler(t *testing.T) *Handler {
	t.Helper()
	h := New()
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func call(script string) *tasks.Attempt {
	with, err := json.Marshal(map[string]string{"script": script})
	if err != nil {
		panic(err)
	}
	return &tasks.Attempt{
		PipelineExecutionID: dbtype.NewID(), TaskExecutionID: dbtype.NewID(), Number: 1, With: with,
		Stdout: new(logBuffer), Stderr: new(logBuffer),
	}
}

// logBuffer collects what a call writes.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func kindOf(err error) tasks.ErrorKind {
	var kinded *tasks.HandlerError
	if errors.As(err, &kinded) {
		return kinded.Kind
	}
	return ""
}

// printed returns what a call made by call has printed so far.
func printed(t *testing.T, c *tasks.Attempt) string {
	t.Helper()
	return c.Stdout.(*logBuffer).String()
}
