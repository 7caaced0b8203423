package app_test

import (
	"context"
	"os"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/app"
)

// asProgram is the variable that makes the test binary the program itself, for tests that kill it.
const asProgram = "APP_TEST_AS_PROGRAM"

func init() {
	if os.Getenv(asProgram) != "" {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(app.Program(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}
