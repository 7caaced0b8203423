package events

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
)

// ErrCursor is a text that is no cursor.
var ErrCursor = errors.New("not a cursor")

// Cursor is a place in the history of one tenant of one database: behind an event. The zero Cursor is the beginning.
// It is made by Tail and ParseCursor alone, and its text is opaque.
type Cursor struct {
	history  uint64  // which history, by db.Frontier.History
	sequence int64   // the event's number
	anchor   uint64  // of the event's id, for another history has other events under the same numbers
	pipeline db.ID   // the event's execution, which remembers whether retention took the event
	at       db.Time // the event's instant
}

func cursorAt(history uint64, e Event) Cursor {
	return Cursor{history: history, sequence: e.SequenceNum, anchor: anchorOf(e.ID), pipeline: e.PipelineExecutionID, at: e.CreatedAt}
}

// anchorOf is the half of a version 7 UUID that is random.
func anchorOf(id db.ID) uint64 { return binary.BigEndian.Uint64(id[8:]) }

// fingerprint is a history's name in the length that a cursor has for it.
func fingerprint(history string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(history)) // never fails
	return h.Sum64()
}

// IsZero reports whether the cursor is the beginning.
func (c Cursor) IsZero() bool { return c == Cursor{} }

const cursorVersion = 1

// String is the cursor's text, about 70 letters, digits, - and _; empty for the beginning.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	b := []byte{cursorVersion}
	b = binary.BigEndian.AppendUint64(b, c.history)
	b = binary.BigEndian.AppendUint64(b, c.anchor)
	b = append(b, c.pipeline[:]...)
	b = binary.AppendUvarint(b, uint64(c.sequence))
	b = binary.AppendVarint(b, c.at.UnixMicro())
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

// MarshalText is the cursor's text.
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// ParseCursor reads a cursor's text; the empty one is the beginning. Any other text is ErrCursor.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	const fixed, check = 1 + 8 + 8 + 16, 4
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < fixed+check || crc32.ChecksumIEEE(b[:len(b)-check]) != binary.BigEndian.Uint32(b[len(b)-check:]) {
		return Cursor{}, fmt.Errorf("%w: it is damaged or cut short", ErrCursor)
	}
	if b[0] != cursorVersion {
		return Cursor{}, fmt.Errorf("%w that this version knows: its format is %d, known is %d", ErrCursor, b[0], cursorVersion)
	}
	c := Cursor{history: binary.BigEndian.Uint64(b[1:]), anchor: binary.BigEndian.Uint64(b[9:])}
	copy(c.pipeline[:], b[17:fixed])
	rest := b[fixed : len(b)-check]
	n, read := binary.Uvarint(rest)
	at, more := binary.Varint(rest[max(read, 0):])
	if c.sequence = int64(n); read <= 0 || more <= 0 || read+more != len(rest) || c.sequence <= 0 {
		return Cursor{}, fmt.Errorf("%w: its parts are of no use", ErrCursor)
	}
	c.at = db.At(time.UnixMicro(at))
	return c, nil
}

// HistoryError is a cursor from another history than the database has now: of another database, or of one that has since been
// restored from an older copy.
type HistoryError struct {
	Reason string  // how it shows
	Since  db.Time // from when on to read so as to miss nothing: the cursor's instant, less a while for what was under way then
}

// underWay is how much earlier than the events that follow it an event may be dated: a transaction's events bear its beginning.
const underWay = time.Minute

func (e *HistoryError) Error() string {
	return "the cursor belongs to another history: " + e.Reason
}

func (c Cursor) refused(reason string) error {
	return &HistoryError{Reason: reason, Since: db.At(c.at.Add(-underWay))}
}
