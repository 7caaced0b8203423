package shell

import (
	"bytes"
	"io"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// Bounds on the output that the error of a failed command includes.
const (
	lastBytes = 4 << 10
	lastCount = 20
)

// stream writes all that a command prints to the log and keeps the end of it for the error. One goroutine writes it.
// It is read after that goroutine has ended.
type stream struct {
	log  io.Writer // may be nil
	last []byte    // at most lastBytes
	cut  bool      // last is not all of the output
}

// Write writes p to the log and returns len(p), nil even if the log fails, because a command must not hang or fail
// when its output cannot be stored.
func (s *stream) Write(p []byte) (int, error) {
	if s.log != nil {
		_, _ = s.log.Write(p)
	}
	s.last = append(s.last, p[max(len(p)-lastBytes, 0):]...)
	if drop := len(s.last) - lastBytes; drop > 0 {
		s.last = append(s.last[:0], s.last[drop:]...)
		s.cut = true
	}
	s.cut = s.cut || len(p) > lastBytes
	return len(p), nil
}

// lines returns the last lines of the stream as text, at most lastCount.
func (s *stream) lines() []string {
	b := s.last
	if _, rest, ok := bytes.Cut(b, []byte("\n")); s.cut && ok {
		b = rest // the first line may be incomplete
	}
	text := strings.TrimRight(tasks.SanitizeText(string(b), lastBytes), " \t\r\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(len(lines)-lastCount, 0):]
}

// failureOutput returns the last lines of the first stream that has any, formatted to follow the head of an error. A
// single line stays on the line of the head.
func failureOutput(streams ...*stream) string {
	for _, s := range streams {
		switch lines := s.lines(); len(lines) {
		case 0:
		case 1:
			return ": " + strings.TrimSpace(lines[0])
		default:
			return ":\n" + strings.Join(lines, "\n")
		}
	}
	return ""
}
