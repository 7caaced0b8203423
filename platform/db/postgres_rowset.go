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

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// set renders arrays that are unnested together, and single values for the columns that have only one.
func (p *postgres) set(n int, name string, s *RowSet) (string, []any) {
	var arrays, inner, outer []string
	vars := make([]any, len(s.columns))
	constant := s.isConstant()
	for i := range s.columns {
		c := &s.columns[i]
		ph, col := "$"+strconv.Itoa(n+i), "c"+strconv.Itoa(i)
		if constant[i] {
			col, vars[i] = p.scalar(n+i, c.firstScalar())
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

// sqlType returns the type in which a column is sent.
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

// fromWire returns the expression that converts a sent value to the column's value.
func (c *column) fromWire(v string) string {
	switch {
	case c.kind == kindJSON:
		return "NULLIF(" + v + ", '')::jsonb"
	case c.kind == kindTime:
		// The conversion has two parts, because a number times an interval is computed in floating point, which
		// cannot hold all of the microseconds.
		return "timestamptz 'epoch' + NULLIF(" + v + ", 0) / 1000000 * interval '1 second' + " + v +
			" % 1000000 * interval '1 microsecond'"
	case c.kind == kindText && c.nullable:
		return "NULLIF(" + v + ", '')"
	case c.kind == kindInt && c.nullable:
		return "NULLIF(" + v + ", 0)"
	}
	return v // a zero ID is sent as NULL
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

// firstScalar returns the first value as a scalar.
func (c *column) firstScalar() any {
	switch {
	case c.kind == kindID:
		return c.ids[0]
	case c.kind == kindJSON:
		return dbtype.JSON(c.texts[0])
	case c.kind == kindText && c.nullable:
		return dbtype.Text(c.texts[0])
	case c.kind == kindText:
		return c.texts[0]
	case c.kind == kindTime && c.ints[0] != 0:
		return dbtype.NewTime(time.UnixMicro(c.ints[0]))
	case c.kind == kindTime:
		return dbtype.Time{}
	case c.nullable && c.ints[0] == 0:
		return (*int64)(nil)
	}
	return c.ints[0]
}

// These types make the driver encode a column as a whole. With one value at a time, through the driver's general
// arrays, encoding took longer than the server's work.
type (
	idArray   []dbtype.ID
	textArray []string
	intArray  []int64
)

// arrayCodec lets the driver send those columns as arrays.
type arrayCodec struct{ *pgtype.ArrayCodec }

func (c arrayCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		switch value.(type) {
		case idArray, textArray, intArray:
			return arrayValue{}
		}
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

// registerTypes makes a new connection encode arrays by arrayCodec, and ids and times by their wrappers.
func registerTypes(_ context.Context, conn *pgx.Conn) error {
	m := conn.TypeMap()
	for _, oid := range []uint32{pgtype.UUIDArrayOID, pgtype.TextArrayOID, pgtype.Int8ArrayOID} {
		t, ok := m.TypeForOID(oid)
		if !ok {
			return fmt.Errorf("the driver has no array type %d", oid)
		}
		codec, ok := t.Codec.(*pgtype.ArrayCodec)
		if !ok {
			return nil // registered already: a connection may be prepared twice
		}
		m.RegisterType(&pgtype.Type{Name: t.Name, OID: oid, Codec: arrayCodec{codec}})
	}
	registerScalars(m)
	return nil
}

type arrayValue struct{}

// Encode writes the server's binary form: the number of dimensions, whether there are NULLs, the element's type, the
// length, the lower bound, and each element after its length.
func (arrayValue) Encode(value any, buf []byte) ([]byte, error) {
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
			buf = binary.BigEndian.AppendUint32(buf, uint32(len(s))) //nolint:gosec // a text has at most some MiB
			buf = append(buf, s...)
		}
	case intArray:
		buf = arrayHeader(slices.Grow(buf, headerSize+12*len(list)), len(list), pgtype.Int8OID)
		for _, n := range list {
			buf = binary.BigEndian.AppendUint32(buf, 8)
			buf = binary.BigEndian.AppendUint64(buf, uint64(n)) //nolint:gosec // only the bits are sent
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
