// Package dbtype holds the types of column values that both databases store: ids, times, texts and JSON documents. It
// imports no driver, so packages of the domain and handlers of extensions can use it.
package dbtype

import (
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ID is a UUID as both databases store it: uuid in PostgreSQL, a 16-byte blob in SQLite. The zero ID is NULL.
type ID uuid.UUID

// NewID returns a new version 7 UUID. Such UUIDs ascend with time, so keys made one after the other are neighbours in
// an index.
func NewID() ID { return ID(uuid.Must(uuid.NewV7())) }

// Offset returns the n-th UUID after id, which adds n to the last 62, random bits (RFC 9562, 6.2, method 2). It is as
// unique as id and its neighbour in an index.
func (id ID) Offset(n int) ID {
	const random = 1<<62 - 1
	low := binary.BigEndian.Uint64(id[8:])
	binary.BigEndian.PutUint64(id[8:], low&^random|(low+uint64(n))&random) //nolint:gosec // n counts from 0
	return id
}

// FirstIDAt returns a lower bound of the ids that are made at t or later.
func FirstIDAt(t time.Time) ID {
	var id ID
	ms := max(t.UnixMilli(), 0)
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	return id
}

// MinPrefix is the minimum number of hexadecimal digits of a shortened id.
const MinPrefix = 4

// PrefixRange returns the first and the last id that begin with the hexadecimal digits of a prefix. Dashes are
// ignored. ok is false if the text is not a prefix of at least MinPrefix digits.
func PrefixRange(prefix string) (first, last ID, ok bool) {
	digits := strings.ToLower(strings.ReplaceAll(prefix, "-", ""))
	if len(digits) < MinPrefix || len(digits) > 2*len(first) {
		return first, last, false
	}
	low, err := hex.DecodeString(digits + strings.Repeat("0", 2*len(first)-len(digits)))
	if err != nil {
		return first, last, false
	}
	high, err := hex.DecodeString(digits + strings.Repeat("f", 2*len(first)-len(digits)))
	copy(first[:], low)
	copy(last[:], high)
	return first, last, err == nil
}

// ParseID reads the text form of a UUID, with dashes.
func ParseID(s string) (ID, error) {
	u, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return ID{}, fmt.Errorf(
			"%q is not an execution id: expected a UUID such as 0197c2a4-7b1e-7000-8000-0123456789ab", s)
	}
	return ID(u), nil
}

func (id ID) String() string { return uuid.UUID(id).String() }

// IsZero reports whether the ID stands for NULL.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalJSON writes the text form, or null for the zero ID.
func (id ID) MarshalJSON() ([]byte, error) {
	if id.IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + id.String() + `"`), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (id *ID) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*id = ID{}
		return nil
	}
	var u uuid.UUID
	if err := json.Unmarshal(b, &u); err != nil {
		return fmt.Errorf("read id: %w", err)
	}
	*id = ID(u)
	return nil
}

// Value returns the form for SQLite.
func (id ID) Value() (driver.Value, error) {
	if id.IsZero() {
		return nil, nil
	}
	return id[:], nil
}

// Scan reads either form.
func (id *ID) Scan(src any) error {
	if src == nil {
		*id = ID{}
		return nil
	}
	return (*uuid.UUID)(id).Scan(src)
}

// Time is an instant as both databases store it: timestamptz in PostgreSQL, microseconds since 1970 in SQLite, UTC in
// Go. The zero Time is NULL.
type Time struct{ time.Time }

// NewTime returns t as a Time, in UTC and truncated to microseconds, which is the databases' precision.
func NewTime(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.UTC().Truncate(time.Microsecond)}
}

// MarshalJSON writes RFC 3339 with microseconds, or null for the zero Time.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + t.UTC().Format(TimeFormat) + `"`), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = Time{}
		return nil
	}
	var v time.Time
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("read time: %w", err)
	}
	*t = NewTime(v)
	return nil
}

// TimeFormat is the format of times in JSON and in event data: RFC 3339 in UTC. There are always six decimals, so
// that the text sorts by time.
const TimeFormat = "2006-01-02T15:04:05.000000Z07:00"

// Value returns the form for SQLite.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return nil, nil
	}
	return t.UnixMicro(), nil
}

// Scan reads either form.
func (t *Time) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t = Time{}
	case time.Time:
		*t = NewTime(v)
	case int64:
		*t = Time{time.UnixMicro(v).UTC()}
	default:
		return fmt.Errorf("read time: stored as %T, expected microseconds or a timestamp", src)
	}
	return nil
}

// Text is a text column whose empty value is NULL.
type Text string

// MarshalJSON writes null for the empty text.
func (s Text) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(s))
}

// Value returns the text, or NULL for the empty text.
func (s Text) Value() (driver.Value, error) {
	if s == "" {
		return nil, nil
	}
	return string(s), nil
}

// Scan reads NULL as the empty text.
func (s *Text) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*s = ""
	case string:
		*s = Text(v)
	case []byte:
		*s = Text(v)
	default:
		return fmt.Errorf("read text: stored as %T", src)
	}
	return nil
}

// JSON is a document as the databases store it: jsonb in PostgreSQL (which reorders keys), text in SQLite. Nil is
// NULL.
type JSON json.RawMessage

// MarshalJSON writes the document itself, or null.
func (j JSON) MarshalJSON() ([]byte, error) {
	if len(j) == 0 {
		return []byte("null"), nil
	}
	return j, nil
}

// UnmarshalJSON keeps the document unchanged.
func (j *JSON) UnmarshalJSON(b []byte) error {
	*j = append((*j)[:0], b...)
	return nil
}

// Value returns the document as text, or NULL.
func (j JSON) Value() (driver.Value, error) {
	if len(j) == 0 {
		return nil, nil
	}
	return string(j), nil
}

// Scan copies the document.
func (j *JSON) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*j = nil
	case string:
		*j = JSON(v)
	case []byte:
		*j = append(JSON(nil), v...)
	default:
		return fmt.Errorf("read JSON: stored as %T", src)
	}
	return nil
}
