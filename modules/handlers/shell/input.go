package shell

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// input is the document that a command reads: the run's input, with the dependencies' outputs under "needs". That key
// replaces an input of the same name. The document is written in parts, so that memory does not hold it a second
// time.
type input struct {
	fields map[string]json.RawMessage
	needs  map[string]json.RawMessage
}

func newInput(call *tasks.Attempt) (*input, error) {
	d := &input{needs: call.Needs}
	if len(call.Input) > 0 {
		if err := json.Unmarshal(call.Input, &d.fields); err != nil {
			return nil, fmt.Errorf("read the run's input: %w", err)
		}
	}
	delete(d.fields, "needs")
	return d, nil
}

// size returns an estimate of the document's length in bytes. The document is not longer unless names need escaping.
func (d *input) size() int {
	n := len(`{"needs":{}}`) + 1
	for _, list := range []map[string]json.RawMessage{d.fields, d.needs} {
		for name, v := range list {
			n += len(name) + len(v) + len(`"":null,`)
		}
	}
	return n
}

// flushAt is the length in bytes at which the buffer is written to the file.
const flushAt = 256 << 10

// write writes the document to a new file. A small document takes one write.
func (d *input) write(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := &parts{file: f}
	w.buf.Grow(min(d.size(), flushAt))
	return errors.Join(w.document(d), f.Close())
}

// parts writes JSON to a file through a buffer.
type parts struct {
	file *os.File
	buf  bytes.Buffer
}

func (w *parts) document(d *input) error {
	names := append(slices.Collect(maps.Keys(d.fields)), "needs")
	slices.Sort(names)
	for i, name := range names {
		w.buf.WriteByte("{,"[min(i, 1)])
		if err := w.name(name); err != nil {
			return err
		}
		if name != "needs" {
			if err := w.value(d.fields[name]); err != nil {
				return err
			}
			continue
		}
		if err := w.object(d.needs); err != nil {
			return err
		}
	}
	w.buf.WriteString("}\n")
	return w.flush()
}

func (w *parts) object(list map[string]json.RawMessage) error {
	w.buf.WriteByte('{')
	for i, name := range slices.Sorted(maps.Keys(list)) {
		if i > 0 {
			w.buf.WriteByte(',')
		}
		if err := w.name(name); err != nil {
			return err
		}
		if err := w.value(list[name]); err != nil {
			return err
		}
	}
	w.buf.WriteByte('}')
	return nil
}

// name writes a key and a colon.
func (w *parts) name(s string) error {
	enc := json.NewEncoder(&w.buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return err
	}
	w.buf.Truncate(w.buf.Len() - 1) // the line feed
	w.buf.WriteByte(':')
	return nil
}

func (w *parts) value(v json.RawMessage) error {
	if len(v) == 0 {
		w.buf.WriteString("null")
	} else if err := json.Compact(&w.buf, v); err != nil {
		return fmt.Errorf("write the command's input: %w", err)
	}
	if w.buf.Len() < flushAt {
		return nil
	}
	return w.flush()
}

func (w *parts) flush() error {
	_, err := w.buf.WriteTo(w.file)
	return err
}
