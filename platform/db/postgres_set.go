package db

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// set is arrays that are unnested beside each other, and single values for the columns that have but one.
func (p *postgres) set(n int, name string, s *Set) (string, []any) {
	var arrays, inner, outer []string
	vars := make([]any, len(s.columns))
	constant := s.constant()
	for i := range s.columns {
		c := &s.columns[i]
		ph, col := "$"+strconv.Itoa(n+i), "c"+strconv.Itoa(i)
		if constant[i] {
			col, vars[i] = p.scalar(n+i, c.first())
		} else {
			inner, arrays, vars[i] = append(inner, col), append(arrays, ph+"::"+c.sqlType()+"[]"), c.array()
			col = c.fromWire(col)
		}
		outer = append(outer, col+" AS "+c.name)
	}
	text := "(SELECT " + strings.Join(outer, ", ")
	if len(arrays) > 0 {
		text += " FROM unnest(" + strings.Join(arrays, ", ") + ") AS u(" + strings.Join(inner, ", ") + ")"
	}
	return text + ") AS " + name, vars
}

// sqlType is the type in which a column travels.
func (c *column) sqlType() string {
	switch c.kind {
	case kindID:
		return "uuid"
	case kindText, kindJSON:
		return "text"
	default:
		return "bigint"
	}
}

// fromWire makes the column's value of what has travelled.
func (c *column) fromWire(v string) string {
	switch {
	case c.kind == kindJSON:
		return "NULLIF(" + v + ", '')::jsonb"
	case c.kind == kindTime:
		return "timestamptz 'epoch' + NULLIF(" + v + ", 0) * interval '1 microsecond'"
	case c.kind == kindText && c.nullable:
		return "NULLIF(" + v + ", '')"
	case c.kind == kindInt && c.nullable:
		return "NULLIF(" + v + ", 0)"
	}
	return v // a zero ID travels as NULL
}

func (c *column) array() any {
	switch c.kind {
	case kindID:
		return idArray(c.ids)
	case kindText, kindJSON:
		return textArray(c.texts)
	default:
		return intArray(c.ints)
	}
}

// first is the first value as a scalar.
func (c *column) first() any {
	switch {
	case c.kind == kindID:
		return c.ids[0]
	case c.kind == kindJSON:
		return JSON(c.texts[0])
	case c.kind == kindText && c.nullable:
		return Text(c.texts[0])
	case c.kind == kindText:
		return c.texts[0]
	case c.kind == kindTime && c.ints[0] != 0:
		return At(time.UnixMicro(c.ints[0]))
	case c.kind == kindTime:
		return Time{}
	case c.nullable && c.ints[0] == 0:
		return (*int64)(nil)
	}
	return c.ints[0]
}

// Columns of sets are encoded whole: one value at a time, through the driver's general arrays, took longer than the server's
// work on them.
type (
	idArray   []ID
	textArray []string
	intArray  []int64
)

// arrayCodec adds those columns to what the driver can send as an array.
type arrayCodec struct{ *pgtype.ArrayCodec }

func (c arrayCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		switch value.(type) {
		case idArray, textArray, intArray:
			return wholeArray{}
		}
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

// fastArrays is done to each new connection.
func fastArrays(_ context.Context, conn *pgx.Conn) error {
	m := conn.TypeMap()
	for _, oid := range []uint32{pgtype.UUIDArrayOID, pgtype.TextArrayOID, pgtype.Int8ArrayOID} {
		t, ok := m.TypeForOID(oid)
		if !ok {
			return fmt.Errorf("the driver has no array type %d", oid)
		}
		codec, ok := t.Codec.(*pgtype.ArrayCodec)
		if !ok {
			continue // done already: type maps are shared by nobody, but a connection may be prepared twice
		}
		m.RegisterType(&pgtype.Type{Name: t.Name, OID: oid, Codec: arrayCodec{codec}})
	}
	return nil
}

type wholeArray struct{}

// Encode writes the server's binary form: dimensions, whether there are NULLs, the element's type, the length, the lower bound,
// and each element after its length.
func (wholeArray) Encode(value any, buf []byte) ([]byte, error) {
	switch list := value.(type) {
	case idArray:
		buf = arrayHeader(slices.Grow(buf, headerSize+20*len(list)), len(list), pgtype.UUIDOID)
		for i := range list {
			if list[i].IsZero() {
				buf = binary.BigEndian.AppendUint32(buf, 0xffffffff) // NULL
				continue
			}
			buf = binary.BigEndian.AppendUint32(buf, 16)
			buf = append(buf, list[i][:]...)
		}
	case textArray:
		size := headerSize
		for _, s := range list {
			size += 4 + len(s)
		}
		buf = arrayHeader(slices.Grow(buf, size), len(list), pgtype.TextOID)
		for _, s := range list {
			buf = binary.BigEndian.AppendUint32(buf, uint32(len(s))) //nolint:gosec // a text is at most some MiB
			buf = append(buf, s...)
		}
	case intArray:
		buf = arrayHeader(slices.Grow(buf, headerSize+12*len(list)), len(list), pgtype.Int8OID)
		for _, n := range list {
			buf = binary.BigEndian.AppendUint32(buf, 8)
			buf = binary.BigEndian.AppendUint64(buf, uint64(n)) //nolint:gosec // the bits are what is sent
		}
	default:
		return nil, fmt.Errorf("no array: %T", value)
	}
	return buf, nil
}

const headerSize = 20

func arrayHeader(buf []byte, n int, element uint32) []byte {
	const mayHoldNull = 1
	buf = binary.BigEndian.AppendUint32(buf, 1)
	buf = binary.BigEndian.AppendUint32(buf, mayHoldNull)
	buf = binary.BigEndian.AppendUint32(buf, element)
	buf = binary.BigEndian.AppendUint32(buf, uint32(n)) //nolint:gosec // at most maxRows
	return binary.BigEndian.AppendUint32(buf, 1)
}
