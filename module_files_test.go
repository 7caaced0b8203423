package main

import (
	"io/fs"
	"os"
	"path"
	"testing"

	"golang.org/x/mod/module"
)

// TestModuleFiles checks that a Go module may have files of these names: with one that Windows does not allow, no
// version could be fetched by go install or by programs that use the packages.
func TestModuleFiles(t *testing.T) {
	t.Parallel()
	files, root := 0, os.DirFS(".")
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if entry.IsDir() {
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil || name == ".git" || name == "bin" ||
				name == "dist" {
				return fs.SkipDir
			}
			return nil
		}
		files++
		if err := module.CheckFilePath(name); err != nil {
			t.Error(err)
		}
		return nil
	})
	if err != nil || files < 500 {
		t.Errorf("%d files were checked: %v", files, err)
	}
}
