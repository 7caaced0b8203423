package chaos

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"strings"
	"sync"
	"time"
)

// Messages of the program that the tests count or wait for.
const (
	msgServing = "serving"
	msgRefused = "result refused: claim lost"
)

// logs counts the messages of a round's workers.
type logs struct {
	mu      sync.Mutex
	counts  map[string]int
	alarms  []string // messages that no worker should ever log
	refused int
	skew    time.Duration // the furthest that an entry's time was ahead
}

func newLogs() *logs { return &logs{counts: map[string]int{}} }

// line is one entry of a worker's log.
type line struct {
	Level string    `json:"level"`
	Msg   string    `json:"msg"`
	Error string    `json:"error"`
	At    time.Time `json:"ts"`
}

// alarming are texts that indicate a fault of the program, whatever was done to it.
var alarming = []string{"deadlock", "gave up after", "illegal transition", "DATA RACE"}

// read reads a worker's log to its end, copies it, and calls serving when the worker has begun. It returns the text
// that is not a log entry, which is the process's last output.
func (l *logs) read(in io.Reader, out io.Writer, serving func()) (last string) {
	lines := bufio.NewReader(in)
	var words strings.Builder
	for {
		text, err := lines.ReadString('\n')
		_, _ = io.WriteString(out, text) // errors are ignored
		var entry line
		switch {
		case text == "":
		case json.Unmarshal([]byte(text), &entry) == nil && entry.Msg != "":
			if entry.Msg == msgServing {
				serving()
			}
			l.add(entry)
		case words.Len() < 4000:
			words.WriteString(text)
		}
		if err != nil {
			return words.String()
		}
	}
}

func (l *logs) add(e line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[e.Level+": "+e.Msg]++
	l.skew = max(l.skew, time.Until(e.At))
	if e.Msg == msgRefused {
		l.refused++
	}
	exhausted := strings.Contains(e.Error, "SQLSTATE "+tooMany) // while it lasts a worker may give up and end
	for _, word := range alarming {
		if strings.Contains(e.Msg+e.Error, word) && !exhausted {
			l.alarms = append(l.alarms, e.Msg+": "+e.Error)
		}
	}
}

func (l *logs) lateOutcomes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

// tell adds the counts and the alarms to a report.
func (l *logs) tell(r *Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Said, r.Refused, r.Skew = maps.Clone(l.counts), l.refused, l.skew
	r.Breaches = append(r.Breaches, l.alarms...)
}
