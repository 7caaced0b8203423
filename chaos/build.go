package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// workerPackage is the program of the worker processes.
const workerPackage = "github.com/sluiceworks/sluice/chaos/worker"

// Skew is how far the clock of a process built by BuildSkewed is ahead.
const Skew = time.Hour

// Build builds the worker's binary.
func Build(ctx context.Context, path string) error {
	return build(ctx, os.Environ(), "-o", path, workerPackage)
}

func build(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build"}, args...)...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the worker: %w: %s", err, out)
	}
	return nil
}

// now is the line of the standard library's package time in which Now reads the clock.
const now = "\tsec, nsec, mono := runtimeNow()\n"

// BuildSkewed builds a worker whose time.Now is Skew ahead of the machine's clock, with a correct monotonic clock, as
// on a machine whose clock was set wrongly. A Go program does not get the time from the C library, so no preloaded
// library can shift it. Instead the standard library is rebuilt with an additional line. SQLite's C code is compiled
// without optimisation, because it would take a minute otherwise.
func BuildSkewed(ctx context.Context, dir string) (path string, err error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("where is Go? %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	if strings.Count(string(source), now) != 1 {
		return "", errors.New("this Go's time.Now does not read the clock as expected: see BuildSkewed")
	}
	shifted := strings.Replace(string(source), now, fmt.Sprintf("%s\tsec += %d\n", now, int(Skew.Seconds())), 1)
	// A constant path lets the build cache reuse what it has built.
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	patched := filepath.Join(cache, "sluice-chaos", "time.go")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: patched}})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(patched), 0o755), os.WriteFile(patched, []byte(shifted), 0o600),
		os.WriteFile(list, overlay, 0o600)); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "worker-skewed")
	return path, build(ctx, append(os.Environ(), "CGO_CFLAGS=-O0"), "-overlay", list, "-o", path, workerPackage)
}
