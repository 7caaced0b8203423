package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// maxPath is the maximum length in characters of a path in a message.
const maxPath = 100

// jsonPosition describes the position of the byte at offset in a document: its line and column, both from 1 and the
// column in characters, and the key path of the value, if it is within one.
func jsonPosition(raw []byte, offset int) string {
	offset = min(max(offset, 0), len(raw))
	before := raw[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	text := fmt.Sprintf("line %d, column %d", line, column)
	if path := jsonPath(raw, offset); utf8.RuneCountInString(path) > maxPath {
		text += ", at " + characters(path, 0, maxPath) + "…"
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
	return fmt.Errorf("%s: %w", jsonPosition(raw, max(int(wrong.Offset)-1, 0)), err)
}

// jsonFrame is an object or a list that has been opened.
type jsonFrame struct {
	key   string
	index int             // in a list, of the current element
	seen  map[string]bool // nil for a list
	isKey bool            // in an object, the next string is a key
}

// jsonWalker tracks the path of the current token of a document.
type jsonWalker struct {
	dec   *json.Decoder
	stack []jsonFrame
}

func newWalker(raw []byte) *jsonWalker {
	w := &jsonWalker{dec: json.NewDecoder(bytes.NewReader(raw))}
	w.dec.UseNumber()
	return w
}

// next reads one token. twice reports a duplicate key.
func (w *jsonWalker) next() (twice bool, err error) {
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
		w.stack = append(w.stack, jsonFrame{seen: map[string]bool{}, isKey: true})
	case json.Delim('['):
		w.stack = append(w.stack, jsonFrame{})
	default:
		w.ended()
	}
	return false, nil
}

// ended advances to the next key or element.
func (w *jsonWalker) ended() {
	if n := len(w.stack); n == 0 {
		return
	} else if top := &w.stack[n-1]; top.seen != nil {
		top.isKey, top.key = true, ""
	} else {
		top.index++
	}
}

// path returns the path of the value or key that comes next, or was just read.
func (w *jsonWalker) path() string {
	text := ""
	for i, f := range w.stack {
		switch {
		case f.seen == nil:
			text += "[" + strconv.Itoa(f.index) + "]"
		case f.key == "":
		case !fieldPattern.MatchString(f.key):
			text += fmt.Sprintf("[%.60q]", f.key)
		case i == 0:
			text += f.key
		default:
			text += "." + f.key
		}
	}
	return text
}

// jsonPath returns the path at offset, as far as the document can be parsed.
func jsonPath(raw []byte, offset int) string {
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
			return fmt.Errorf("%s: the key %.60q is there twice", jsonPosition(raw, begin), w.stack[len(w.stack)-1].key)
		}
	}
}
