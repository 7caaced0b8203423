// Command typecheck type-checks the program for other targets, or a module in a folder for this one, without cgo and
// from source. It finds what a compiler would find, in a small part of the time of a build, because it compiles no
// dependency.
//
//	go run ./scripts/typecheck linux/arm64 darwin/arm64
//	go run ./scripts/typecheck ./bench
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	root, err := os.Getwd()
	failed := err != nil || len(os.Args) < 2
	for _, arg := range os.Args[1:] {
		dir, target := root, arg
		if strings.HasPrefix(arg, "./") {
			dir, target = filepath.Join(root, arg), runtime.GOOS+"/"+runtime.GOARCH
		}
		if err := check(dir, target); err != nil {
			fmt.Fprintf(os.Stderr, "typecheck %s: %v\n", arg, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// check type-checks the program in the folder root for one target, such as linux/arm64.
func check(root, target string) error {
	system, arch, _ := strings.Cut(target, "/")
	cfg := &packages.Config{
		Mode: packages.LoadAllSyntax,
		Dir:  root,
		Env:  append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch),
		ParseFile: func(files *token.FileSet, name string, src []byte) (*ast.File, error) {
			file, err := parser.ParseFile(files, name, src, parser.SkipObjectResolution)
			if file != nil && !strings.HasPrefix(name, root+string(filepath.Separator)) {
				dropBodies(file)
			}
			return file, err
		},
	}
	list, err := packages.Load(cfg, ".")
	if err != nil {
		return err
	}
	var mistakes []string
	packages.Visit(list, nil, func(p *packages.Package) {
		for _, e := range p.Errors {
			if strings.HasPrefix(e.Pos, root) || p.Types == nil {
				mistakes = append(mistakes, e.Error())
			}
		}
	})
	if len(mistakes) > 0 {
		return fmt.Errorf("%d mistakes:\n%s", len(mistakes), strings.Join(mistakes, "\n"))
	}
	return nil
}

// dropBodies removes what functions of dependencies do, which was compiled by their authors.
func dropBodies(file *ast.File) {
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			f.Body = nil
		}
	}
}
