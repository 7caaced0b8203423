package app

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// folder reads the pipelines of a directory and its subdirectories, repeatedly. It opens only regular files, and a
// file that it cannot use does not affect the others.
type folder struct {
	dir      string
	handlers *tasks.Registry
	reserved func(name string) bool // names that no file may define
	log      *zap.Logger
	files    map[string]*fileSeen // by path
	owners   map[string]string    // the path that defines a pipeline, by the pipeline's name
}

// fileSeen is what is known about a file.
type fileSeen struct {
	info     fs.FileInfo            // when it was last read
	next     fs.FileInfo            // a change that the last look found
	def      *definition.Definition // the last valid one; nil: none
	source   fs.FileInfo            // of def
	reported string                 // why the file is not used, as already logged
}

func newFolder(dir string, handlers *tasks.Registry, reserved func(string) bool, log *zap.Logger) *folder {
	return &folder{
		dir: dir, handlers: handlers, reserved: reserved, log: log, files: map[string]*fileSeen{},
		owners: map[string]string{},
	}
}

// scan reads what has changed. It reads a changed file after two looks have found it the same, because its writer may
// not have finished. If first is set, it reads all files. It returns an error if the directory itself cannot be read.
func (f *folder) scan(first bool) error {
	found := map[string]bool{}
	if err := f.walk(f.dir, func(path string) {
		found[path] = true
		f.file(path, first)
	}); err != nil {
		return err
	}
	for path, s := range f.files {
		if found[path] {
			continue
		}
		delete(f.files, path)
		if s.def != nil {
			f.log.Info("pipeline file removed: its pipeline stays registered", zap.String("file", path),
				zap.String("pipeline", s.def.Name))
		}
	}
	return nil
}

// walk calls visit for each YAML file of a directory and its subdirectories, in order. It leaves out names that begin
// with a dot.
func (f *folder) walk(dir string, visit func(path string)) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case e.IsDir():
			if err := f.walk(path, visit); err != nil {
				visit(path) // visit reports why it cannot be read
			}
		case isYAML(e.Name()):
			visit(path)
		}
	}
	return nil
}

func (f *folder) file(path string, first bool) {
	s := f.files[path]
	if s == nil {
		s = &fileSeen{}
		f.files[path] = s
	}
	info, err := os.Stat(path)
	if err != nil {
		s.info = nil
		f.leave(path, s, err)
		return
	}
	if s.info != nil && sameFile(s.info, info) {
		s.next = nil
		return
	}
	if !first && (s.next == nil || !sameFile(s.next, info)) {
		s.next = info
		return
	}
	s.info, s.next = info, nil
	src, err := readPipelineFile(path, info)
	if err == nil {
		err = resemblesPipeline(src)
	} else if info.Mode().IsRegular() && info.Size() <= definition.MaxFile {
		s.info = nil // permissions may change without a trace in the file's times
	}
	if err != nil {
		f.leave(path, s, err)
		return
	}
	def, err := definition.Parse(path, src, f.handlers)
	if err == nil && f.reserved(def.Name) {
		err = fmt.Errorf("%s: the program has a pipeline %q of its own (give it another name)", path, def.Name)
	}
	if err != nil {
		f.refuse(path, s, err)
		return
	}
	s.def, s.source, s.reported = def, info, ""
	for _, warning := range def.Warnings() {
		f.log.Warn("pipeline file: "+warning.Message, zap.String("file", path), zap.Int("line", warning.Line),
			zap.Int("column", warning.Column), zap.String("hint", warning.Hint))
	}
}

// leave logs, once, that a file is not read as a pipeline.
func (f *folder) leave(path string, s *fileSeen, why error) {
	var p *fs.PathError
	if errors.As(why, &p) {
		why = p.Err
	}
	if s.reported == why.Error() {
		return
	}
	s.reported = why.Error()
	if s.def != nil {
		f.log.Warn("pipeline file cannot be used: keeping its last good version", zap.String("file", path),
			zap.String("reason", s.reported))
		return
	}
	level := zap.InfoLevel
	if p != nil {
		level = zap.WarnLevel
	}
	f.log.Log(level, "file left alone", zap.String("file", path), zap.String("reason", s.reported))
}

// refuse logs the mistakes in a pipeline file.
func (f *folder) refuse(path string, s *fileSeen, err error) {
	s.reported = err.Error()
	message := "pipeline file has mistakes: it is not registered"
	if s.def != nil {
		message = "pipeline file has mistakes: keeping its last good version"
	}
	f.log.Warn(message, zap.String("file", path), zap.Strings("mistakes", strings.Split(err.Error(), "\n")))
}

// offered is a definition to register.
type offered struct {
	def  *definition.Definition
	from fs.FileInfo // the file that it was read from
}

// offers returns the valid definitions. If several files define the same name, the first one that did so counts.
func (f *folder) offers() []offered {
	byName := map[string][]string{}
	for path, s := range f.files {
		if s.def != nil {
			byName[s.def.Name] = append(byName[s.def.Name], path)
		}
	}
	var list []offered
	for name, paths := range byName {
		slices.Sort(paths)
		owner := paths[0]
		if slices.Contains(paths, f.owners[name]) {
			owner = f.owners[name]
		}
		f.owners[name] = owner
		s := f.files[owner]
		list = append(list, offered{s.def, s.source})
		for _, path := range paths {
			if path != owner {
				f.taken(path, owner)
			}
		}
	}
	slices.SortFunc(list, func(a, b offered) int { return cmp.Compare(a.def.Name, b.def.Name) })
	return list
}

func (f *folder) taken(path, owner string) {
	s := f.files[path]
	why := fmt.Errorf("%s:1:1: the pipeline %q is defined in %s already (give it another name)", path, s.def.Name,
		owner)
	if s.reported != why.Error() {
		f.log.Warn("pipeline file is not registered", zap.String("file", path),
			zap.Strings("mistakes", []string{why.Error()}))
		s.reported = why.Error()
	}
}

func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.Mode() == b.Mode() && a.ModTime().Equal(b.ModTime())
}

// readPipelineFile reads a regular file of bounded size. It opens nothing else, because a named pipe would block
// until there is a writer, and opening a device may have any effect.
func readPipelineFile(path string, info fs.FileInfo) (src []byte, err error) {
	if err := readable(info); err != nil {
		return nil, err
	}
	// A named pipe may have replaced the file since.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	if err := readable(info); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(file, definition.MaxFile+1))
}

func readable(info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return errors.New("it is a link to a directory, or a directory that cannot be read")
	case !mode.IsRegular():
		return fmt.Errorf("it is not a regular file (%s)", mode.Type())
	case info.Size() > definition.MaxFile:
		return fmt.Errorf("it has %d bytes, more than the limit of %d", info.Size(), definition.MaxFile)
	}
	return nil
}

// resemblesPipeline distinguishes a pipeline, with any mistakes, from another YAML file: it has the keys name and
// tasks.
func resemblesPipeline(src []byte) error {
	var doc yaml.Node
	keys := map[string]bool{}
	if err := yaml.Unmarshal(src, &doc); err != nil {
		for line := range strings.Lines(string(src)) {
			key, _, _ := strings.Cut(line, ":")
			keys[strings.TrimSpace(strings.TrimPrefix(key, "\ufeff"))] = strings.TrimLeft(line, " \t") == line
		}
	} else if len(doc.Content) > 0 && doc.Content[0].Kind == yaml.MappingNode {
		for i := 0; i < len(doc.Content[0].Content); i += 2 {
			keys[doc.Content[0].Content[i].Value] = true
		}
	}
	for _, key := range []string{"name", "tasks"} {
		if !keys[key] {
			return fmt.Errorf("it is not a pipeline: it has no key %q", key)
		}
	}
	return nil
}
