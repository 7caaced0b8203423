package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

const (
	releaseTag  = "v0.9.8"
	releaseTime = "2026-01-02T03:04:05Z"
)

// TestRelease checks the release of a commit with a tag, for this machine's target: checksums, the archive's and the
// package's content, that its program knows its version and runs a pipeline, and that a linked worktree, with
// uncommitted changes and built in another time zone, yields the same bytes.
func TestRelease(t *testing.T) {
	t.Parallel()
	first, commit := taggedCheckout(t)
	out := release(t, first, "022", "UTC")

	sums, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(out, "sluice_0.9.8_linux_"+runtime.GOARCH+".tar.gz")
	deb := filepath.Join(out, "sluiceworks_0.9.8_"+runtime.GOARCH+".deb")
	want := ""
	for _, path := range []string{archive, deb} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		want += hex.EncodeToString(sum[:]) + "  " + filepath.Base(path) + "\n"
	}
	if diff := cmp.Diff(want, string(sums)); diff != "" {
		t.Errorf("SHA256SUMS (-files +listed):\n%s", diff)
	}
	checkProgram(t, unpack(t, archive), commit)
	checkPackage(t, deb)

	second := filepath.Join(t.TempDir(), "another")
	inCheckout(t, first, "git", "worktree", "add", "-q", second)
	if err := os.WriteFile(filepath.Join(second, "LICENSE"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(filepath.Join(release(t, second, "077", "Asia/Tokyo"), "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(sums), string(again)); diff != "" {
		t.Errorf("another checkout yields other bytes:\n%s", diff)
	}
}

// taggedCheckout returns a repository with these sources as its only commit, and the commit's hash.
func taggedCheckout(t *testing.T) (dir, commit string) {
	t.Helper()
	dir = t.TempDir()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch {
		case e.Name() == ".git", e.Name() == "bin", e.Name() == "dist", e.Name() == "bench":
		case e.IsDir():
			err = errors.Join(err, os.CopyFS(filepath.Join(dir, e.Name()), os.DirFS(e.Name())))
		case e.Type().IsRegular():
			content, reading := os.ReadFile(e.Name())
			err = errors.Join(err, reading, os.WriteFile(filepath.Join(dir, e.Name()), content, 0o600))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	inCheckout(t, dir, "git", "init", "-q")
	inCheckout(t, dir, "git", "add", "-A")
	inCheckout(t, dir, "git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.com", "commit", "-q", "-m",
		"all")
	inCheckout(t, dir, "git", "tag", releaseTag)
	return dir, strings.TrimSpace(inCheckout(t, dir, "git", "rev-parse", "HEAD"))
}

// inCheckout runs a program in a directory, without the caller's settings of Git, and returns what it prints.
func inCheckout(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GIT_") && !strings.HasPrefix(v, "SLUICE_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_DATE="+releaseTime, "GIT_COMMITTER_DATE="+releaseTime)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, stdout, &stderr)
	}
	return string(stdout)
}

// release builds the release for this machine's target, and returns the directory with its files.
func release(t *testing.T, checkout, umask, zone string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "dist")
	inCheckout(t, checkout, "sh", "-c", `umask "$1"; TZ=$2 exec scripts/release.sh "$3" "$4"`, "sh",
		umask, zone, out, "linux/"+runtime.GOARCH)
	return out
}

// unpack unpacks an archive, checks the properties that its members have in common, and returns its directory.
func unpack(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	top := strings.TrimSuffix(filepath.Base(path), ".tar.gz")
	for members := tar.NewReader(unzipped); ; {
		h, err := members.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(dir, top)
		}
		if err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(h.Mode).Perm()
		if at := h.ModTime.UTC().Format(time.RFC3339); at != releaseTime || h.Uid != 0 || h.Gid != 0 || h.Uname != "" ||
			mode != 0o644 && mode != 0o755 || !strings.HasPrefix(h.Name, top+"/") {
			t.Errorf("%s: time %s, owner %d:%d %q, mode %v", h.Name, at, h.Uid, h.Gid, h.Uname, mode)
		}
		to := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.Mkdir(to, 0o700)
		} else {
			var content []byte
			content, err = io.ReadAll(members)
			err = errors.Join(err, os.WriteFile(to, content, mode))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkProgram checks an unpacked archive: its files, and that its program says its version and works.
func checkProgram(t *testing.T, dir, commit string) {
	t.Helper()
	for _, name := range []string{
		"LICENSE", "README.md", "CHANGELOG.md", "LICENSES-THIRD-PARTY", "completions/sluice.bash",
		"completions/_sluice",
		"completions/sluice.fish", "man/man1/sluice.1", "man/man1/sluice-run.1", "man/man1/sluice-tenants-create.1",
	} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := program{filepath.Join(dir, "sluice"), dbtest.EmptySQLiteURL(t)}
	var got map[string]any
	if err := json.Unmarshal([]byte(p.ok(t, "version", "-o", "json")), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"version": releaseTag, "revision": commit, "committed_at": releaseTime, "modified": false,
		"go": got["go"], "platform": "linux/" + runtime.GOARCH,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("version (-want +got):\n%s", diff)
	}
	line := "sluice " + releaseTag + " (commit " + commit[:12] + " of " + releaseTime + ") "
	if version := p.ok(t, "--version"); !strings.HasPrefix(version, line) || version != p.ok(t, "version") {
		t.Errorf("--version: %q, want %q", version, line)
	}
	out := p.ok(t, "run", "examples/first.yaml", "--set", "dir=examples") + p.ok(t, "verify")
	if !strings.Contains(out, "first Completed in ") || !strings.Contains(out, ": no breach") {
		t.Error(out)
	}
}

// checkPackage checks a Debian package's description and files.
func checkPackage(t *testing.T, path string) {
	t.Helper()
	control := inCheckout(t, "/", "dpkg-deb", "--field", path)
	for _, line := range []string{
		"Package: sluiceworks", "Version: 0.9.8", "Architecture: " + runtime.GOARCH, "Conflicts: sluice",
	} {
		if !strings.Contains(control, line+"\n") {
			t.Errorf("not found: %q in\n%s", line, control)
		}
	}
	content := inCheckout(t, "/", "dpkg-deb", "--contents", path)
	for _, file := range []string{
		"bin/sluice", "share/man/man1/sluice-run.1.gz", "share/doc/sluiceworks/copyright",
		"share/bash-completion/completions/sluice", "share/zsh/vendor-completions/_sluice",
		"share/fish/vendor_completions.d/sluice.fish",
	} {
		if !strings.Contains(content, " ./usr/"+file+"\n") {
			t.Errorf("not found: %q in\n%s", file, content)
		}
	}
}
