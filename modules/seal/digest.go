// Package seal makes tampering with the past evident. When an execution has ended, a SHA-256 of its history, input,
// outputs, definition, idempotency key and labels is stored with it. One hash over all seals of a period can be
// stored out of reach of everyone who can change the database. The package makes no decisions about executions and
// changes only their seals. docs/seal.md describes the formats, so that others can recompute the hashes.
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
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Form1 is the first word of the data hashed for a seal of form 1, which covers only the history. New seals are of
// form 2.
const Form1 = "sluice-seal/1"

// Header contains the fields of the execution itself that a seal covers.
type Header struct {
	PipelineExecutionID dbtype.ID
	PipelineName        string
	DefinitionVersion   string
	Version             int64  // of the execution when it ended
	Previous            string // the previous seal, if the execution was retried after it
}

// Event is one event of the history, as stored in the database.
type Event struct {
	ID              dbtype.ID
	TaskExecutionID dbtype.ID // zero for an event of the pipeline
	Version         int64     // 0 for an annotation
	Type            events.Type
	Data            []byte
	Worker, Actor   string
	CreatedAt       int64 // microseconds since 1970
}

// Digest hashes the history of one execution. It keeps one hash per event.
type Digest struct {
	leaves  []leaf
	notes   []leaf // annotations, by sequence number
	covered int    // number of notes before the last end
	line    []byte
}

type leaf struct {
	task    dbtype.ID
	version int64
	hash    [sha256.Size]byte
}

// Add adds the next event, in the order of sequence numbers. Invalid JSON, which only a program other than sluice can
// have written, is hashed as a string.
func (d *Digest) Add(e *Event) {
	data, err := dbtype.JSON(e.Data).Canonical()
	if err != nil {
		data = dbtype.AppendString(nil, string(e.Data))
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

// append appends the event's line to b.
func (e *Event) append(b, data []byte) []byte {
	b = append(dbtype.AppendString(append(b, '['), e.ID.String()), ',')
	if e.TaskExecutionID.IsZero() {
		b = append(b, "null"...)
	} else {
		b = dbtype.AppendString(b, e.TaskExecutionID.String())
	}
	b = append(b, ',')
	if e.Version == 0 {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, e.Version, 10)
	}
	b = append(dbtype.AppendString(append(b, ','), string(e.Type)), ',')
	b = append(append(b, data...), ',')
	b = append(appendText(b, e.Worker), ',')
	b = append(appendText(b, e.Actor), ',', '"')
	b = time.UnixMicro(e.CreatedAt).UTC().AppendFormat(b, dbtype.TimeFormat)
	return append(b, '"', ']')
}

func appendText(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return dbtype.AppendString(b, s)
}

// Seal returns the seal of form 1 in hex.
func (d *Digest) Seal(h Header) string {
	sum := sha256.New()
	sum.Write(h.append(nil, Form1))
	d.writeTo(sum)
	return hex.EncodeToString(sum.Sum(nil))
}

// History returns the hash over the history that a seal of form 2 contains, in hex.
func (d *Digest) History() string {
	sum := sha256.New()
	d.writeTo(sum)
	return hex.EncodeToString(sum.Sum(nil))
}

// writeTo writes the hash of each event in hex and a line feed: first the events of the execution and its tasks, then
// the annotations.
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
