package jsonvalue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"
)

// maxPath is the maximum length in characters of a path in a message.
const maxPath = 100

// plainKey matches the keys that a path contains without quotes.
var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,99}$`)

// position describes the position of the byte at offset in a document: its line and column, both from 1 and the
// column in characters, and the key path of the value, if it is within one.
func position(raw []byte, offset int) string {
	offset = min(max(offset, 0), len(raw))
	before := raw[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	text := fmt.Sprintf("line %d, column %d", line, column)
	if path := keyPath(raw, offset); utf8.RuneCountInString(path) > maxPath {
		text += ", at " + string([]rune(path)[:maxPath]) + "…"
	} else if path != "" {
		text += ", at " + path
	}
	return text
}

// syntaxError returns the syntax error of raw with its position.
func syntaxError(raw []byte) error {
	err := json.Unmarshal(raw, new(json.RawMessage))
	var wrong *json.SyntaxError
	if !errors.As(err, &wrong) {
		return err
	}
	return fmt.Errorf("%s: %w", position(raw, max(int(wrong.Offset)-1, 0)), err)
}

// frame is an object or a list that has been opened.
type frame struct {
	key   string
	index int             // in a list, of the current element
	seen  map[string]bool // nil for a list
	isKey bool            // in an object, the next string is a key
}

// walker tracks the path of the current token of a document.
type walker struct {
	dec   *json.Decoder
	stack []frame
}

func newWalker(raw []byte) *walker {
	return &walker{dec: NewDecoder(raw)}
}

// next reads one token. twice reports a duplicate key.
func (w *walker) next() (twice bool, err error) {
	token, err := w.dec.Token()
	if err != nil {
		return false, err
	}
	if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
		w.stack = w.stack[:len(w.stack)-1]
		w.ended()
		return false, nil
	}
	if n := len(w.stack); n > 0 && w.stack[n-1].isKey {
		top := &w.stack[n-1]
		top.key, _ = token.(string)
		top.isKey = false
		twice = top.seen[top.key]
		top.seen[top.key] = true
		return twice, nil
	}
	switch token {
	case json.Delim('{'):
		w.stack = append(w.stack, frame{seen: map[string]bool{}, isKey: true})
	case json.Delim('['):
		w.stack = append(w.stack, frame{})
	default:
		w.ended()
	}
	return false, nil
}

// ended advances to the next key or element.
func (w *walker) ended() {
	if n := len(w.stack); n == 0 {
		return
	} else if top := &w.stack[n-1]; top.seen != nil {
		top.isKey, top.key = true, ""
	} else {
		top.index++
	}
}

// path returns the path of the value or key that comes next, or was just read.
func (w *walker) path() string {
	text := ""
	for i, f := range w.stack {
		switch {
		case f.seen == nil:
			text += "[" + strconv.Itoa(f.index) + "]"
		case f.key == "":
		case !plainKey.MatchString(f.key):
			text += fmt.Sprintf("[%.60q]", f.key)
		case i == 0:
			text += f.key
		default:
			text += "." + f.key
		}
	}
	return text
}

// keyPath returns the path at offset, as far as the document can be parsed.
func keyPath(raw []byte, offset int) string {
	w := newWalker(raw)
	for {
		path := w.path()
		if _, err := w.next(); err != nil || int(w.dec.InputOffset()) > offset {
			return path
		}
	}
}

// CheckUnique returns an error for a duplicate key in an object of a valid document.
func CheckUnique(raw []byte) error {
	w := newWalker(raw)
	for {
		end := int(w.dec.InputOffset())
		twice, err := w.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read JSON: %w", err)
		case twice:
			begin := end + bytes.IndexByte(raw[end:], '"')
			return fmt.Errorf("%s: the key %.60q is there twice", position(raw, begin), w.stack[len(w.stack)-1].key)
		}
	}
}
