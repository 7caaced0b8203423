package http

import (
	"context"
	"errors"
	"io"
	nethttp "net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// files returns the paths of everything below the working directory.
func files(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		found[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func place(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSaveAs(t *testing.T) {
	content := strings.Repeat("\x00\xff{", 3<<20) // larger than any output
	h, url := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, content)
	})
	dir := t.TempDir()
	t.Chdir(dir)
	place(t, "sub/old.bin", "old")
	for _, path := range []string{"new.bin", "sub/old.bin", "sub/../sub/./other", "made/for/it"} {
		out, err := do(t.Context(), h, `{"url":"`+url+`","save_as":"`+path+`"}`)
		want := `{"status":200,"headers":{"content-type":"application/json"},"bytes":9437184,"path":"` +
			filepath.Join(dir, path) + `"}`
		if err != nil || string(out) != want {
			t.Errorf("got %s, %v, want %s", out, err, want)
		}
	}
	if diff := cmp.Diff(map[string]string{
		"new.bin": content, "sub/old.bin": content, "sub/other": content,
		"made/for/it": content,
	}, files(t)); diff != "" {
		t.Errorf("the files differ")
	}
}

func TestFailedSaveLeavesWhatWasThere(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h, url := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch r.URL.Path {
		case "/status":
			w.WriteHeader(500)
		case "/half":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		case "/large":
			_, _ = io.WriteString(w, strings.Repeat("x", 50_000))
		case "/cancel":
			_, _ = io.WriteString(w, "half")
			w.(nethttp.Flusher).Flush()
			cancel()
			<-r.Context().Done()
		}
	})
	t.Chdir(t.TempDir())
	place(t, "data", "old")
	_, err := do(ctx, h, `{"url":"`+url+`/status","save_as":"data"}`)
	wants(t, err, tasks.KindHTTP, "answered 500")
	_, err = do(ctx, h, `{"url":"`+url+`/half","save_as":"data"}`)
	wants(t, err, tasks.KindError, "unexpected EOF")
	_, err = do(ctx, h, `{"url":"`+url+`/large","save_as":"data","max_bytes":49999}`)
	wants(t, err, tasks.KindInvalidOutput, "more than 49999 bytes")
	if _, err = do(ctx, h, `{"url":"`+url+`/cancel","save_as":"data"}`); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(map[string]string{"data": "old"}, files(t)); diff != "" {
		t.Error(diff)
	}
}

func TestNoPlaceToSave(t *testing.T) {
	requests := 0
	h, url := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) { requests++ })
	outside := t.TempDir()
	t.Chdir(t.TempDir())
	place(t, "dir/file", "")
	if err := os.Symlink(outside, "link"); err != nil {
		t.Fatal(err)
	}
	_, err := do(t.Context(), h, `{"url":"`+url+`","save_as":"/missing/x"}`)
	wants(t, err, tasks.KindPermanent, "the directory of /missing/x does not exist")
	_, err = do(t.Context(), h, `{"url":"`+url+`","save_as":"dir"}`)
	wants(t, err, tasks.KindPermanent, "dir is a directory")
	_, err = do(t.Context(), h, `{"url":"`+url+`","save_as":"dir/file/x"}`)
	wants(t, err, "", "not a directory")
	_, err = do(t.Context(), h, `{"url":"`+url+`","save_as":"link/x"}`)
	wants(t, err, "", "escapes")
	if diff := cmp.Diff(map[string]string{"dir/file": ""}, files(t)); diff != "" {
		t.Error(diff)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 0 || requests != 0 {
		t.Errorf("outside the working directory: %v, %v; %d requests were made", left, err, requests)
	}
}

func TestFullDisk(t *testing.T) {
	h, url := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		_, _ = io.WriteString(w, "text")
	})
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	f, err := newFile(t.Context(), filepath.Join(t.TempDir(), "data"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.discard()
	if err := f.f.Close(); err != nil {
		t.Fatal(err)
	}
	f.f = full
	plan, err := (&with{URL: url}).plan()
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.exchange(t.Context(), plan, f)
	wants(t, err, "", "save_as: write /dev/full: no space left on device")
}

// TestGuardedFiles checks that a guarded file is not replaced under any of its names, and that no request is made.
func TestGuardedFiles(t *testing.T) {
	requests := 0
	h, url := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) { requests++ })
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	place(t, "data.db", "kept")
	place(t, "below/x", "kept")
	for link, target := range map[string]string{"link.db": "data.db", "here": "."} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	h.Guarded = func(path string) bool {
		return slices.Contains([]string{filepath.Join(dir, "data.db"), filepath.Join(dir, "data.db-wal")}, path)
	}
	for _, name := range []string{
		"data.db", "./data.db", "below/../data.db", "data.db-wal", "link.db", "here/data.db",
		dir + "/data.db", dir + "/here/link.db",
	} {
		_, err := do(t.Context(), h, `{"url":"`+url+`","save_as":"`+name+`"}`)
		wants(t, err, tasks.KindPermanent, "is a file of sluice itself")
	}
	if _, err := do(t.Context(), h, `{"url":"`+url+`","save_as":"below/data.db"}`); err != nil || requests != 1 {
		t.Errorf("a file of the same name elsewhere: %v, %d requests", err, requests)
	}
	if got, err := os.ReadFile("data.db"); err != nil || string(got) != "kept" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSaveAsAbsolutePath checks that the file is at the absolute path of the task, and that the output contains the
// path.
func TestSaveAsAbsolutePath(t *testing.T) {
	h, url := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) { _, _ = io.WriteString(w, "text") })
	path := filepath.Join(t.TempDir(), "out.txt")
	out, err := do(t.Context(), h, `{"url":"`+url+`","save_as":"`+path+`"}`)
	if err != nil || !strings.Contains(string(out), `"path":"`+path+`"`) {
		t.Errorf("got %s, %v", out, err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "text" {
		t.Errorf("got %q, %v", content, err)
	}
	_, err = h.Run(t.Context(), &tasks.Attempt{With: []byte(`{"url":"` + url + `","save_as":"out.txt"}`)})
	wants(t, err, "", "keeps no directories of runs")
}
