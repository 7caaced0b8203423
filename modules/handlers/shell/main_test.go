package shell

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// workerScript makes the test binary a worker that runs the script it holds and nothing else: some tests kill a whole worker.
const workerScript = "SHELL_TEST_WORKER_SCRIPT"

func TestMain(m *testing.M) {
	if script, ok := os.LookupEnv(workerScript); ok {
		c := call(script)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		_, err := New().Run(context.Background(), c)
		fmt.Println("ended", err)
		return
	}
	goleak.VerifyTestMain(m)
}

func call(script string) *tasks.Call {
	with, err := json.Marshal(map[string]string{"script": script})
	if err != nil {
		panic(err)
	}
	return &tasks.Call{
		PipelineExecutionID: db.NewID(), TaskExecutionID: db.NewID(), Attempt: 1, With: with,
		Stdout: new(tasks.LogBuffer), Stderr: new(tasks.LogBuffer),
	}
}

func kindOf(err error) tasks.ErrorKind {
	var kinded *tasks.KindedError
	if errors.As(err, &kinded) {
		return kinded.Kind
	}
	return ""
}

// printed is what a call made by call has printed so far.
func printed(t *testing.T, c *tasks.Call) string {
	t.Helper()
	return c.Stdout.(*tasks.LogBuffer).String()
}
