package http

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// file is the destination of a saved body. Its name appears only when the body is complete, so a reader of that name
// gets either the whole new body or the previous file.
//
// All access goes through an os.Root, so that no symbolic link in the path leads out of the directory.
type file struct {
	root *os.Root
	dir  string   // absolute path of root
	path string   // relative to root
	temp string   // in the same directory; empty when there is nothing to remove
	f    *os.File // open for writing
}

// newFile opens the temporary file of path, which is relative to the run's directory or absolute. It returns nil if
// path is empty. The caller opens the file before it sends the request, because a request with side effects should
// not be made if its response cannot be stored.
func newFile(ctx context.Context, path string, guarded func(string) bool) (*file, error) {
	if path == "" {
		return nil, nil
	}
	path = filepath.Clean(path)
	t := &file{dir: filepath.Dir(path), path: filepath.Base(path)}
	if !filepath.IsAbs(path) {
		call, ok := tasks.AttemptFrom(ctx)
		if !ok || call.RunDir == "" {
			return nil, errors.New("save_as: this process keeps no directories of runs")
		}
		if err := call.MakeRunDir(); err != nil {
			return nil, tasks.CannotStart(err)
		}
		t.dir, t.path = call.RunDir, path
	}
	root, err := os.OpenRoot(t.dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, tasks.NonRetryable(fmt.Errorf("save_as: the directory of %s does not exist", path))
	case err != nil:
		return nil, lacking(fmt.Errorf("save_as: %w", err))
	}
	t.root = root
	if err = t.refuse(guarded); err == nil {
		err = t.open()
	}
	if err != nil {
		t.discard()
		return nil, err
	}
	return t, nil
}

// refuse fails if the file, or the file that it links to, is guarded. The link is checked as well because the rename
// would replace the link itself.
func (t *file) refuse(guarded func(string) bool) error {
	if guarded == nil {
		return nil
	}
	named := filepath.Join(t.dir, t.path)
	names := []string{named}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(named)); err == nil { // otherwise open reports what is wrong
		names = append(names, filepath.Join(dir, filepath.Base(named)))
	}
	if target, err := filepath.EvalSymlinks(named); err == nil {
		names = append(names, target)
	}
	if slices.ContainsFunc(names, guarded) {
		return tasks.NonRetryable(
			fmt.Errorf("save_as: %s is a file of sluice itself, its database or its configuration", t.path))
	}
	return nil
}

// lacking marks an error as CannotStart if this machine ran out of a resource. It is for errors before the request.
func lacking(err error) error {
	if tasks.OutOfResources(err) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return tasks.CannotStart(err)
	}
	return err
}

func (t *file) open() error {
	if info, err := t.root.Stat(t.path); err == nil && info.IsDir() {
		return tasks.NonRetryable(fmt.Errorf("save_as: %s is a directory", t.path))
	}
	parent := filepath.Dir(t.path)
	temp := filepath.Join(parent, "."+filepath.Base(t.path)+"."+rand.Text()+".part")
	f, err := t.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrNotExist) {
		if err = t.root.MkdirAll(parent, 0o700); err == nil {
			f, err = t.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		}
	}
	if err != nil {
		return lacking(fmt.Errorf("save_as: %w", err))
	}
	t.temp, t.f = temp, f
	return nil
}

// saved copies the body to the file and renames the file to its final name.
func saved(resp *nethttp.Response, body *limitedBody, t *file) (*response, error) {
	// io.Copy returns the errors of both sides. Only an error of the disk is a fault of this machine.
	if _, err := io.Copy(onlyWriter{t.f}, body); err != nil {
		var disk *os.PathError
		if errors.As(err, &disk) {
			return nil, fmt.Errorf("save_as: %w", err)
		}
		return nil, bodyError(err, body.limit)
	}
	if err := t.keep(); err != nil {
		return nil, fmt.Errorf("save_as: %w", err)
	}
	a := newResponse(resp, body.n)
	a.Path = filepath.Join(t.dir, t.path)
	return a, nil
}

// onlyWriter hides the file's ReadFrom method, so that io.Copy reads through body, which counts the bytes.
type onlyWriter struct{ io.Writer }

// keep syncs the file before it renames it. Otherwise a crash could leave the final name with a partial body.
func (t *file) keep() error {
	if err := t.f.Sync(); err != nil {
		return err
	}
	if err := t.f.Close(); err != nil {
		return err
	}
	t.f = nil
	if err := t.root.Rename(t.temp, t.path); err != nil {
		return err
	}
	t.temp = ""
	return nil
}

// discard closes the file and removes the temporary file unless keep has renamed it. It does nothing if t is nil.
func (t *file) discard() {
	if t == nil {
		return
	}
	if t.f != nil {
		_ = t.f.Close()
	}
	if t.temp != "" {
		_ = t.root.Remove(t.temp)
	}
	_ = t.root.Close()
}
