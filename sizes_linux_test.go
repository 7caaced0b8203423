package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// measure runs a command from a small process, and prints the command's peak memory in KiB. The peak of a process
// includes that of the process that has forked it, and a test's process is large.
const measure = `import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)`

// peak runs the program and returns its peak memory in MiB.
func (p program) peak(t *testing.T, args ...string) int64 {
	t.Helper()
	cmd := p.command(args...)
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Args = python, append([]string{python, "-c", measure}, cmd.Args...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	kib, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib >> 10
}

// TestMemoryOfLargeRuns checks that commands that show a run with 80 outputs of 1 MB do not hold all of them, and
// that a run whose last task reads them does. docs/limits.md has the limits. Holding all outputs would take 7 to 12
// times their size.
func TestMemoryOfLargeRuns(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		const outputs = 80
		var b strings.Builder
		b.WriteString("name: wide\ntasks:\n")
		var names []string
		for i := range outputs {
			names = append(names, fmt.Sprintf("t%d", i))
			fmt.Fprintf(&b, "  - {id: t%d, run: \"{ printf '\\\"'; head -c 1000000 /dev/zero | tr '\\\\0' x; printf "+
				"'\\\"'; } > $SLUICE_OUTPUT\"}\n", i)
		}
		fmt.Fprintf(&b, "  - {id: join, needs: [%s], run: 'test $(wc -c < $SLUICE_INPUT) -gt %d000000'}\n",
			strings.Join(names, ", "), outputs)
		path := filepath.Join(t.TempDir(), "wide.yaml")
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			most int64 // MiB
			args []string
		}{
			{650, []string{"run", path, "--quiet"}},
			{350, []string{"show", "latest"}},
			{350, []string{"show", "latest", "-o", "json"}},
			{350, []string{"diff", "latest", "latest"}},
			{350, []string{"events", "--pipeline-execution", "latest", "-o", "json"}},
			{350, []string{"export", "latest"}},
		} {
			if got := p.peak(t, c.args...); got > c.most {
				t.Errorf("%q had %d MiB, and at most %d are expected", c.args, got, c.most)
			} else {
				t.Logf("%q: %d MiB", c.args[0], got)
			}
		}
	})
}
