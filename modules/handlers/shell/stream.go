package shell

import (
	"bytes"
	"io"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// How much of its last output stands in a failed command's error.
const (
	lastBytes = 4 << 10
	lastCount = 20
)

// stream takes what a command prints: all of it to the log, the end of it kept for an error. It is written by one goroutine and
// read after that has ended.
type stream struct {
	log  io.Writer // may be nil
	last []byte    // at most lastBytes
	cut  bool      // last is not all that was printed
}

// Write takes all of p whatever the log does: a command must not hang or fail because its output finds no room.
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

// lines are the last lines of the stream, at most lastCount, as text.
func (s *stream) lines() []string {
	b := s.last
	if _, rest, ok := bytes.Cut(b, []byte("\n")); s.cut && ok {
		b = rest // the first line is only the end of one
	}
	text := strings.TrimRight(tasks.CleanText(string(b), lastBytes), " \t\r\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(len(lines)-lastCount, 0):]
}

// lastLines are those of the first stream that has any, set so that they follow the head of an error: in its line if it is one.
func lastLines(streams ...*stream) string {
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
