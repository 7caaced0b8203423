// Package seal makes tampering with the past evident: when an execution has ended, a SHA-256 over its history, input, outputs,
// definition, idempotency key and labels is stored with it, and one over all seals of a period can be kept where nobody who may
// change the database can reach. It decides nothing about executions, and changes nothing of them but their seals. docs/seal.md
// describes the forms, so that others can recompute them.
package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strconv"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
)

// Form1 is the first word of what is hashed for a seal of form 1, which covers the history alone. New seals are of form 2.
const Form1 = "sluice-seal/1"

// Header is what a seal says of the execution itself.
type Header struct {
	PipelineExecutionID db.ID
	PipelineName        string
	DefinitionVersion   string
	Version             int64  // of the execution at its end
	Former              string // the seal of the end before, if a retry followed it
}

// Event is one event of the history, as it lies in the database.
type Event struct {
	ID              db.ID
	TaskExecutionID db.ID // zero: the pipeline's own
	Version         int64 // 0: an annotation
	Type            events.Type
	Data            []byte
	Worker, Actor   string
	CreatedAt       int64 // microseconds since 1970
}

// Digest takes the history of one execution up. It keeps a hash for each event.
type Digest struct {
	leaves  []leaf
	notes   []leaf // annotations, in the order of their sequence numbers
	covered int    // of the notes: those before the last end
	line    []byte
}

type leaf struct {
	task    db.ID
	version int64
	hash    [sha256.Size]byte
}

// Add takes the next event in the order of sequence numbers. Data that is no JSON, which only another hand can have written, stands
// as a string.
func (d *Digest) Add(e *Event) {
	data, err := db.JSON(e.Data).Canonical()
	if err != nil {
		data = db.AppendString(nil, string(e.Data))
	}
	d.line = e.append(d.line[:0], data)
	l := leaf{e.TaskExecutionID, e.Version, sha256.Sum256(d.line)}
	if e.Version == 0 {
		d.notes = append(d.notes, l)
		return
	}
	d.leaves = append(d.leaves, l)
	switch e.Type {
	case events.PipelineCompleted, events.PipelineFailed, events.PipelineCancelled:
		d.covered = len(d.notes)
	}
}

// append writes the event's line.
func (e *Event) append(b, data []byte) []byte {
	b = append(db.AppendString(append(b, '['), e.ID.String()), ',')
	if e.TaskExecutionID.IsZero() {
		b = append(b, "null"...)
	} else {
		b = db.AppendString(b, e.TaskExecutionID.String())
	}
	b = append(b, ',')
	if e.Version == 0 {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, e.Version, 10)
	}
	b = append(db.AppendString(append(b, ','), string(e.Type)), ',')
	b = append(append(b, data...), ',')
	b = append(appendText(b, e.Worker), ',')
	b = append(appendText(b, e.Actor), ',', '"')
	b = time.UnixMicro(e.CreatedAt).UTC().AppendFormat(b, db.TimeFormat)
	return append(b, '"', ']')
}

func appendText(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return db.AppendString(b, s)
}

// Seal returns the seal of form 1, in hex.
func (d *Digest) Seal(h Header) string {
	sum := sha256.New()
	sum.Write(h.append(nil, Form1))
	d.writeTo(sum)
	return hex.EncodeToString(sum.Sum(nil))
}

// History returns the hash over the history that a seal of form 2 holds, in hex.
func (d *Digest) History() string {
	sum := sha256.New()
	d.writeTo(sum)
	return hex.EncodeToString(sum.Sum(nil))
}

// writeTo writes the hash of each event and a line feed: the execution's own and those of tasks, then the annotations.
func (d *Digest) writeTo(sum hash.Hash) {
	slices.SortFunc(d.leaves, func(a, b leaf) int {
		if n := bytes.Compare(a.task[:], b.task[:]); n != 0 {
			return n
		}
		if a.version != b.version {
			return int(max(-1, min(1, a.version-b.version)))
		}
		return bytes.Compare(a.hash[:], b.hash[:])
	})
	var text [2*sha256.Size + 1]byte
	text[2*sha256.Size] = '\n'
	for _, list := range [][]leaf{d.leaves, d.notes[:d.covered]} {
		for i := range list {
			hex.Encode(text[:], list[i].hash[:])
			sum.Write(text[:])
		}
	}
}
