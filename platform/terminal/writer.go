// Package terminal is the last stop of everything that the program prints for people. What comes from data, such as a task's output, an
// error or a name, may hold sequences that a terminal obeys: they clear the screen, set its title, fill the clipboard or hide text.
// A Writer writes them as visible escapes, whichever command prints them, and lets through only what this package itself has made.
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

// mark begins the colours of this process: ESC [ and a secret number in front of what the terminal is to see. No data can guess it.
var mark = func() []byte {
	var secret [4]byte
	_, _ = rand.Read(secret[:]) // it never fails
	return fmt.Appendf(nil, "\x1b[9%03d%03d%03d%03d;", secret[0], secret[1], secret[2], secret[3])
}()

// longestMarked bounds a mark with the codes behind it.
const longestMarked = 40

// Paint colours a text by the code of an SGR sequence, such as 31 for red. It is for a Writer, and has the width of s.
func Paint(code, s string) string {
	return string(mark) + code + "m" + s + string(mark) + "0m"
}

// Writer escapes what is written to it, and translates what Paint has made. It is safe for concurrent use.
type Writer struct {
	out  io.Writer
	file *os.File // the terminal, if out is one

	mu   sync.Mutex
	held []byte // the beginning of a character, or of a mark, whose rest comes with the next Write
}

// New makes a Writer of what a program was given as its output. A Writer is returned as it is.
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

// IsTerminal reports whether a person sees what is written at once.
func (w *Writer) IsTerminal() bool { return w.file != nil }

// Size is that of the terminal in characters; ok is false if there is none or it does not tell.
func (w *Writer) Size() (width, height int, ok bool) {
	if w.file == nil {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(w.file.Fd()))
	return width, height, err == nil
}

// Write writes text for people. It reports p as written when its end has to wait for the next Write, or for Flush.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.write(nil, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Redraw writes an unescaped sequence that moves the cursor or clears, and text behind it, at once.
func (w *Writer) Redraw(sequence, text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.write([]byte(sequence), []byte(text))
}

// Flush writes what is held back.
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

// complete is the length of p without a character or a mark that has only begun.
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

// appendMarked appends p escaped, with marks as the sequences that they stand for.
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

// Data is for documents that programs read: they get every byte as it is. A terminal gets what Write would write.
func (w *Writer) Data() io.Writer {
	if w.IsTerminal() {
		return w
	}
	return w.out
}

// JSONLines is for JSON, of which each Write is a whole document or several: it writes hidden characters as \u escapes.
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
