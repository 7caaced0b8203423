package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestClosedOutput checks that a run continues to its end after the reader of its output has gone, with the run's
// exit code.
func TestClosedOutput(t *testing.T) {
	t.Parallel()
	const pipeline = "name: long\ntasks:\n  - {id: a, run: 'for i in $(seq 2000); do echo $i; done'}\n  - {id: b, " +
		"needs: [a], run: 'echo b; exit $CODE'}\n"
	path := filepath.Join(t.TempDir(), "long.yaml")
	if err := os.WriteFile(path, []byte(pipeline), 0o600); err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, p program) {
		for code, want := range map[string]string{"0": "Completed", "3": "Failed"} {
			for _, args := range [][]string{{"run", path}, {"run", path, "-o", "json"}} {
				read, write, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				cmd := p.command(args...)
				cmd.Env = append(cmd.Env, "CODE="+code)
				cmd.Stdout, cmd.Stderr = write, write
				if err := errors.Join(cmd.Start(), write.Close()); err != nil {
					t.Fatal(err)
				}
				if _, err := bufio.NewReaderSize(read, 16).ReadString('\n'); err != nil {
					t.Fatal(err)
				}
				if err := read.Close(); err != nil {
					t.Fatal(err)
				}
				var exit *exec.ExitError
				if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
					t.Fatal(err)
				}
				if status, _ := p.status(t, "latest"); status != want ||
					(cmd.ProcessState.ExitCode() == 0) != (code == "0") {
					t.Errorf("%q: %s, exit code %d", args, status, cmd.ProcessState.ExitCode())
				}
			}
		}
	})
}
