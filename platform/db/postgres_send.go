package db

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// transaction runs fn in a transaction on a connection of its own, on which statements can be sent without waiting for the
// answers of those before: a round trip costs more than most of them.
func (p *postgres) transaction(on *gorm.DB, fn func(*gorm.DB, sender) error) error {
	return on.Connection(func(g *gorm.DB) error {
		conn, ok := g.Statement.ConnPool.(*sql.Conn)
		if !ok {
			return fmt.Errorf("a connection was expected, not %T", g.Statement.ConnPool)
		}
		return g.Transaction(func(t *gorm.DB) error { return fn(t, pipelined(conn)) })
	})
}

// errNoTransaction means that the connection is in no transaction any more: it was rolled back when its context ended.
var errNoTransaction = errors.New("the transaction has been rolled back")

func pipelined(conn *sql.Conn) sender {
	return func(ctx context.Context, list []queued) error {
		var failure error
		err := conn.Raw(func(dc any) error {
			c, ok := dc.(*stdlib.Conn)
			if !ok {
				return fmt.Errorf("a connection of pgx was expected, not %T", dc)
			}
			// What is sent outside a transaction would be committed at once.
			if status := c.Conn().PgConn().TxStatus(); status != 'T' {
				failure = errNoTransaction
				if ctx.Err() != nil {
					failure = ctx.Err()
				}
				return nil
			}
			failure = sendBatch(ctx, c.Conn(), list)
			return nil // and not that the connection broke: what would take it out of the pool waits for the transaction to end
		})
		if failure != nil {
			return failure
		}
		return err
	}
}

func sendBatch(ctx context.Context, conn *pgx.Conn, list []queued) (err error) {
	batch := &pgx.Batch{}
	for i := range list {
		batch.Queue(list[i].sql, list[i].vars...)
	}
	results := conn.SendBatch(ctx, batch)
	defer func() {
		if closing := results.Close(); err == nil {
			err = closing
		}
	}()
	for i := range list {
		if err := list[i].receive(results); err != nil {
			return list[i].fail(err)
		}
	}
	return nil
}

func (q *queued) receive(results pgx.BatchResults) error {
	if q.row == nil {
		tag, err := results.Exec()
		if err != nil || q.done == nil {
			return err
		}
		return q.done(tag.RowsAffected())
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := q.row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
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
