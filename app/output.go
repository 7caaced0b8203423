package app

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Bounds of what is kept for display, in bytes.
const (
	maxLineBytes = 16 << 10 // of a line; a longer one is shown in parts
	maxHeldBytes = 1 << 20  // of the lines between two updates; further lines are left out
)

// outputLine is a line that a task wrote.
type outputLine struct {
	task    dbtype.ID
	name    string
	attempt int
	text    string
}

func (o outputLine) String() string { return logPrefix(o.name, o.attempt) + o.text }

// logPrefix returns the prefix of a task's lines.
func logPrefix(task string, attempt int) string {
	if attempt > 1 {
		return fmt.Sprintf("%s#%d | ", task, attempt)
	}
	return task + " | "
}

// output collects what the tasks of a run write in this process, as lines. It is safe for concurrent use.
type output struct {
	mu    sync.Mutex
	lines []outputLine
	held  int
	left  int // lines left out
}

func newOutput() *output { return &output{} }

// open implements workers.Echo.
func (o *output) open(t tasks.Task, _ tasks.Stream) io.WriteCloser {
	return &outputStream{output: o, line: outputLine{task: t.ID, name: t.TaskName, attempt: t.Attempt}}
}

// take returns the lines since the last call.
func (o *output) take() []outputLine {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.lines
	if o.left > 0 {
		list = append(list, outputLine{
			name: "…",
			text: fmt.Sprintf("%s left out here, `sluice logs` shows them", counted(int64(o.left), "line")),
		})
	}
	o.lines, o.held, o.left = nil, 0, 0
	return list
}

func (o *output) add(l outputLine) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held+len(l.text) > maxHeldBytes {
		o.left++
		return
	}
	o.held += len(l.text)
	o.lines = append(o.lines, l)
}

// outputStream cuts a stream into lines.
type outputStream struct {
	output *output
	line   outputLine

	mu   sync.Mutex
	rest []byte
}

// Write accepts all of p.
func (s *outputStream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = append(s.rest, p...)
	for {
		line, rest, found := bytes.Cut(s.rest, []byte("\n"))
		if !found && len(line) < maxLineBytes {
			return len(p), nil
		}
		if !found {
			line, rest = s.rest[:maxLineBytes], s.rest[maxLineBytes:]
		}
		s.emit(line)
		s.rest = append([]byte(nil), rest...)
	}
}

// Close adds the last line if it has no line feed.
func (s *outputStream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rest) > 0 {
		s.emit(s.rest)
		s.rest = nil
	}
	return nil
}

func (s *outputStream) emit(line []byte) {
	l := s.line
	l.text = tasks.SanitizeText(string(line), maxLineBytes)
	s.output.add(l)
}
