// Command testcount runs `go test -json` with its arguments and prints the results: a line for each package, the whole
// output of what failed, the slowest tests, and last the number of tests that ran.
//
//	go run ./scripts/testcount -race ./...
//	go run ./scripts/testcount -race ./... -- -race -tags chaos ./chaos/...   # one after the other, counted together
//
// It exists because gotestsum does not answer whether everything ran. testcount runs parts that need different flags as
// one run with one count, does not count a test beside its own subtests, and fails if no test ran, or if go test failed
// although no test did. It needs nothing but the standard library, where gotestsum brings a dozen modules.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
)

func main() {
	// A signal from the terminal reaches the tests too; what they said until they ended is still told. To ignore it
	// would make them ignore it.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM)
	ok, err := run(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testcount:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run reports whether all went well: each test that ran passed, and there were some.
func run(args []string, out io.Writer) (bool, error) {
	c := newCounter(out)
	for more := true; more; {
		part := args
		end := slices.Index(args, "--")
		if more = end >= 0; more {
			part, args = args[:end], args[end+1:]
		}
		if err := c.test(part); err != nil {
			return false, err
		}
	}
	return c.report(), nil
}

// test runs `go test` once.
func (c *counter) test(args []string) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	reading := c.read(stdout)
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		c.exitCode, err = max(c.exitCode, exit.ExitCode()), nil
	}
	return errors.Join(reading, err)
}

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Output     string
	Elapsed    float64 // seconds
}

// read takes every line in. One that is no event is shown as it is.
func (c *counter) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		if len(line) > 0 {
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				c.add(e)
			} else {
				fmt.Fprintf(c.out, "%s", line)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the tests' output: %w", err)
		}
	}
}
