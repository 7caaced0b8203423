// Package terminal writes everything that the program prints for people. Data such as a task's output, an error or a
// name may contain terminal sequences that clear the screen, set its title, fill the clipboard or hide text. A Writer
// writes them as visible escapes, whichever command prints them, and keeps only the sequences that this package has
// made.
package terminal

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"
)

// mark begins the colours of this process: ESC [ and a secret number, before the real code. Data cannot guess it.
var mark = func() []byte {
	var secret [4]byte
	_, _ = rand.Read(secret[:]) // never fails
	return fmt.Appendf(nil, "\x1b[9%03d%03d%03d%03d;", secret[0], secret[1], secret[2], secret[3])
}()

// longestMarked bounds the length of a mark with its code.
const longestMarked = 40

// Paint colours a text with the code of an SGR sequence, such as 31 for red. Its result has the display width of s,
// and must be written to a Writer.
func Paint(code, s string) string {
	return string(mark) + code + "m" + s + string(mark) + "0m"
}

// Writer escapes what is written to it, and translates the marks of Paint. It is safe for concurrent use.
type Writer struct {
	out  io.Writer
	file *os.File // the terminal, if out is one

	mu   sync.Mutex
	held []byte // an incomplete character or mark, which the next Write completes
}

// New returns a Writer for the program's output. It returns a Writer unchanged.
func New(out io.Writer) *Writer {
	if w, ok := out.(*Writer); ok {
		return w
	}
	w := &Writer{out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		w.file = f
	}
	return w
}

// IsTerminal reports whether the output is a terminal.
func (w *Writer) IsTerminal() bool { return w.file != nil }

// Size returns the terminal's width and height in characters. ok is false if there is no terminal or its size is
// unknown.
func (w *Writer) Size() (width, height int, ok bool) {
	if w.file == nil {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(w.file.Fd()))
	return width, height, err == nil
}

// Write writes text for people. It counts all of p as written, even if the end of p has to wait for the next Write or
// for Flush.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.write(nil, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Redraw immediately writes a sequence that moves the cursor or clears, unescaped, and then escaped text.
func (w *Writer) Redraw(sequence, text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.write([]byte(sequence), []byte(text))
}

// Flush writes what was held back.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.held
	w.held = nil
	return w.emit(appendEscaped(nil, rest, true))
}

func (w *Writer) write(sequence, p []byte) error {
	if len(w.held) > 0 {
		p = append(w.held, p...)
		w.held = nil
	}
	if len(sequence) == 0 && plain(p, true) {
		return w.emit(p)
	}
	whole := complete(p)
	w.held = bytes.Clone(p[whole:])
	return w.emit(appendMarked(bytes.Clone(sequence), p[:whole]))
}

func (w *Writer) emit(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := w.out.Write(p)
	return err
}

// complete returns the length of p without an incomplete character or mark at its end.
func complete(p []byte) int {
	if at := bytes.LastIndexByte(p, 0x1b); at >= 0 && len(p)-at < longestMarked {
		tail := p[at:]
		begun := bytes.HasPrefix(mark, tail) || bytes.HasPrefix(tail, mark) && !bytes.ContainsRune(tail, 'm')
		if begun {
			return at
		}
	}
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if c := p[len(p)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(p[len(p)-n:]) {
				return len(p) - n
			}
			break
		}
	}
	return len(p)
}

// appendMarked appends p with escapes, and with the marks translated to their sequences.
func appendMarked(out, p []byte) []byte {
	for {
		at := bytes.Index(p, mark)
		if at < 0 {
			return appendEscaped(out, p, true)
		}
		out = appendEscaped(out, p[:at], true)
		p = p[at+len(mark):]
		end := bytes.IndexByte(p, 'm')
		if end < 0 || end > longestMarked {
			continue
		}
		out = append(append(append(out, "\x1b["...), p[:end]...), 'm')
		p = p[end+1:]
	}
}

// Data returns a writer for documents that programs read, which get every byte unchanged. A terminal gets what Write
// would write.
func (w *Writer) Data() io.Writer {
	if w.IsTerminal() {
		return w
	}
	return w.out
}

// JSONLines returns a writer for JSON, which writes hidden characters as \u escapes. Each Write must hold whole
// documents.
func (w *Writer) JSONLines() io.Writer { return jsonWriter{w} }

type jsonWriter struct{ w *Writer }

func (j jsonWriter) Write(p []byte) (int, error) {
	j.w.mu.Lock()
	defer j.w.mu.Unlock()
	if err := j.w.emit(JSON(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
