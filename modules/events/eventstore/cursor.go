package eventstore

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ErrCursor means that a text is not a cursor.
var ErrCursor = errors.New("not a cursor")

// Cursor is a position after an event in the history of one tenant of one database. The zero Cursor is the beginning.
// Only Tail, End and ParseCursor make cursors. Their text is opaque.
type Cursor struct {
	history  uint64      // hash of db.Watermark.History
	sequence int64       // the event's number
	eventTag uint64      // of the event's id, because another history has other events with the same numbers
	pipeline dbtype.ID   // the event's execution, whose row says whether retention removed the event
	at       dbtype.Time // the event's time
}

func cursorAt(history uint64, e events.Event) Cursor {
	return Cursor{
		history: history, sequence: e.SequenceNum, eventTag: eventTagOf(e.ID),
		pipeline: e.PipelineExecutionID, at: e.CreatedAt,
	}
}

// eventTagOf returns the random half of a version 7 UUID.
func eventTagOf(id dbtype.ID) uint64 { return binary.BigEndian.Uint64(id[8:]) }

// fingerprint returns a hash of a history's name.
func fingerprint(history string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(history)) // never fails
	return h.Sum64()
}

// IsZero reports whether the cursor is the beginning.
func (c Cursor) IsZero() bool { return c == Cursor{} }

const cursorVersion = 1

// String returns the cursor's text of about 70 letters, digits, - and _. The text of the beginning is empty.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	b := []byte{cursorVersion}
	b = binary.BigEndian.AppendUint64(b, c.history)
	b = binary.BigEndian.AppendUint64(b, c.eventTag)
	b = append(b, c.pipeline[:]...)
	b = binary.AppendUvarint(b, uint64(c.sequence))
	b = binary.AppendVarint(b, c.at.UnixMicro())
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

// MarshalText returns the cursor's text.
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// ParseCursor reads a cursor's text. The empty text is the beginning. For any other invalid text it returns
// ErrCursor.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	const fixed, check = 1 + 8 + 8 + 16, 4
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < fixed+check ||
		crc32.ChecksumIEEE(b[:len(b)-check]) != binary.BigEndian.Uint32(b[len(b)-check:]) {
		return Cursor{}, fmt.Errorf("%w: it is damaged or cut short", ErrCursor)
	}
	if b[0] != cursorVersion {
		return Cursor{}, fmt.Errorf("%w that this version knows: its format is %d, known is %d", ErrCursor, b[0],
			cursorVersion)
	}
	c := Cursor{history: binary.BigEndian.Uint64(b[1:]), eventTag: binary.BigEndian.Uint64(b[9:])}
	copy(c.pipeline[:], b[17:fixed])
	rest := b[fixed : len(b)-check]
	n, read := binary.Uvarint(rest)
	at, more := binary.Varint(rest[max(read, 0):])
	if c.sequence = int64(n); read <= 0 || more <= 0 || read+more != len(rest) || c.sequence <= 0 {
		return Cursor{}, fmt.Errorf("%w: its parts are of no use", ErrCursor)
	}
	c.at = dbtype.NewTime(time.UnixMicro(at))
	return c, nil
}

// CursorMismatchError means that a cursor does not belong to the database's current history. It comes from another
// database, or the database has since been restored from an older copy.
type CursorMismatchError struct {
	Reason string      // how it was detected
	Since  dbtype.Time // Since is a time from which a reader misses nothing: the cursor's time minus maxTxAge.
}

// maxTxAge bounds how much earlier than the preceding events an event may be dated, because a transaction's events
// have the time of its beginning.
const maxTxAge = time.Minute

func (e *CursorMismatchError) Error() string {
	return "the cursor belongs to another history: " + e.Reason
}

func (c Cursor) mismatch(reason string) error {
	return &CursorMismatchError{Reason: reason, Since: dbtype.NewTime(c.at.Add(-maxTxAge))}
}
