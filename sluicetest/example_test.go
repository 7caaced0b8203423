package sluicetest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/handlers/wait"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/sluicetest"
)

// exampleT stands for the *testing.T of a test. Its methods end the example where a test would fail.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Helper()                      {}
func (t *exampleT) Context() context.Context     { return context.Background() }
func (t *exampleT) Cleanup(f func())             { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Errorf(f string, args ...any) { log.Fatalf(f, args...) }
func (t *exampleT) Fatalf(f string, args ...any) { log.Fatalf(f, args...) }
func (t *exampleT) Fatal(args ...any)            { log.Fatal(args...) }

func (t *exampleT) TempDir() string {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (t *exampleT) end() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}

type chargeIn struct {
	Amount int `json:"amount" sluice:"required"` // in cents
}

// charge is the handler that the examples test.
var charge = tasks.NewHandler("charge", func(ctx context.Context, in chargeIn) (string, error) {
	attempt, _ := tasks.AttemptFrom(ctx)
	switch {
	case in.Amount < 0:
		return "", tasks.NonRetryable(errors.New("a negative amount"))
	case attempt.Number < 3:
		return "", errors.New("the bank does not answer")
	}
	fmt.Fprintf(attempt.Stdout, "attempt %d\n", attempt.Number)
	return fmt.Sprintf("charged %d", in.Amount), nil
})

// The test of a handler calls it once.
func ExampleHandle() {
	t := &exampleT{} // in a test: func TestCharge(t *testing.T)
	defer t.end()
	r := sluicetest.Handle(t, charge, sluicetest.Call{With: chargeIn{Amount: 250}, Number: 3})
	fmt.Println(string(r.Output), r.Err, r.Stdout)
	r = sluicetest.Handle(t, charge, sluicetest.Call{With: map[string]any{"amount": -1}})
	fmt.Println(r.Err, r.Permanent())
	r = sluicetest.Handle(t, charge, sluicetest.Call{With: map[string]any{"amounts": 1}})
	fmt.Println(r.Err)
	// Output:
	// "charged 250" <nil> attempt 3
	//
	// a negative amount true
	// with.amounts: unknown key (did you mean "amount"?)
}

// The test of a pipeline runs it to its end. The delays of its retries and its sleep of a week take no time.
func ExampleEngine_Run() {
	t := &exampleT{} // in a test: func TestBilling(t *testing.T)
	defer t.end()
	e := sluicetest.New(t, charge, wait.NewSleep())
	begun := e.Now()
	run := e.Run(e.Parse(`
name: billing
input: {amount: integer}
tasks:
  - {id: grace, uses: sleep, with: {duration: 1w}}
  - id: charge
    needs: [grace]
    uses: charge
    with: {amount: "${{ input.amount }}"}
    retry: {max_attempts: 5, delay: 1h}
`), map[string]int{"amount": 250})
	fmt.Println(run)
	fmt.Println(run.Task("charge").Attempt, string(run.Task("charge").Output))
	fmt.Println(e.Now().Sub(begun) > 7*24*time.Hour)
	// Output:
	// billing Completed: grace Completed, charge Completed
	// 3 "charged 250"
	// true
}

// A test that acts in the middle of a run advances the clock itself.
func ExampleEngine_Advance() {
	t := &exampleT{}
	defer t.end()
	e := sluicetest.New(t, wait.NewSleep())
	id := e.Start(e.Parse("name: p\ntimeout: 2h\ntasks:\n  - {id: nap, uses: sleep, with: {duration: 1d}}\n"), nil)
	run := e.Until(id, func(r sluicetest.Run) bool { return r.Task("nap").SubStatus == tasks.Deferred })
	fmt.Println(run.Status)
	e.Advance(3 * time.Hour)
	run = e.Until(id, func(r sluicetest.Run) bool { return r.Status == pipelines.Failed })
	fmt.Println(run.Error)
	// Output:
	// Running
	// pipeline timeout of 2h is over
}
