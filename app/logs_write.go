package app

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// logLines writes chunks as lines.
type logLines struct {
	to      io.Writer
	many    bool
	follows bool // chunks of several attempts are interleaved
	streams map[logStream]*logStreamState
	order   []logStream
	failure error
}

// logStream is a stream of an attempt.
type logStream struct {
	task    dbtype.ID
	attempt int
	name    tasks.Stream
}

type logStreamState struct {
	prefix string
	end    int64  // position up to which the stream has been read
	rest   string // a line without its end
}

func (l *logLines) several(many bool) { l.many = many }

func (l *logLines) write(task string, c tasks.Chunk) error {
	key := logStream{c.TaskExecutionID, c.Attempt, c.Stream}
	s := l.streams[key]
	if s == nil {
		if n := len(l.order); !l.follows && n > 0 &&
			(l.order[n-1].task != key.task || l.order[n-1].attempt != key.attempt) {
			_ = l.end() // the attempt before is complete; line keeps the error
		}
		s = &logStreamState{}
		if l.many || c.Attempt > 1 {
			s.prefix = logPrefix(task, c.Attempt)
		}
		l.streams[key] = s
		l.order = append(l.order, key)
	}
	if gap := tasks.LeftOut(s.end, &c); gap != "" {
		if s.rest == "" {
			gap = strings.TrimPrefix(gap, "\n")
		}
		s.rest += gap
	}
	s.rest, s.end = s.rest+c.Text, c.End()
	for {
		line, rest, found := strings.Cut(s.rest, "\n")
		if !found {
			return l.failure
		}
		l.line(s.prefix + line)
		s.rest = rest
	}
}

func (l *logLines) line(s string) {
	if _, err := fmt.Fprintln(l.to, s); err != nil && l.failure == nil {
		l.failure = fmt.Errorf("write the logs: %w", err)
	}
}

func (l *logLines) flush() error { return l.failure }

// end writes the last lines of streams that do not end with a line feed.
func (l *logLines) end() error {
	for _, key := range l.order {
		if s := l.streams[key]; s.rest != "" {
			l.line(s.prefix + s.rest)
		}
	}
	clear(l.streams)
	l.order = nil
	return l.failure
}

// logChunk is a chunk in JSON.
type logChunk struct {
	Task string `json:"id"` // as in the YAML
	tasks.Chunk
}

// logJSON writes one document, or one chunk per line while it follows.
type logJSON struct {
	to     io.Writer
	stream bool
	begun  bool
}

func (l *logJSON) several(bool) {}

func (l *logJSON) write(task string, c tasks.Chunk) error {
	before, indent := "", ""
	if !l.stream {
		before, indent = ",\n    ", "    "
		if !l.begun {
			before = "{\n  \"items\": [\n    "
		}
	}
	l.begun = true
	raw, err := encodeJSON(logChunk{task, c}, indent)
	if err != nil {
		return err
	}
	if l.stream {
		raw += "\n"
	}
	return wrote(io.WriteString(l.to, before+raw))
}

func (l *logJSON) flush() error { return nil }

func (l *logJSON) end() error {
	switch {
	case l.stream:
		return nil
	case l.begun:
		return wrote(io.WriteString(l.to, "\n  ],\n  \"next\": null\n}\n"))
	}
	return wrote(io.WriteString(l.to, "{\n  \"items\": [],\n  \"next\": null\n}\n"))
}

func wrote(_ int, err error) error {
	if err != nil {
		return fmt.Errorf("write the logs: %w", err)
	}
	return nil
}

// encodeJSON encodes a value, on one line unless indent is set.
func encodeJSON(v any, indent string) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if indent != "" {
		enc.SetIndent(indent, "  ")
	}
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("write the logs: %w", err)
	}
	return string(terminal.JSON([]byte(strings.TrimSuffix(b.String(), "\n")))), nil
}
