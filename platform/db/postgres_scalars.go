package db

import (
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// The wrappers of ID and Time implement the driver's interfaces, which these types do not, because they are used by
// packages that link no driver.
type (
	uuidValue      dbtype.ID
	timestampValue dbtype.Time
)

// UUIDValue returns the driver's form of an id.
func (v uuidValue) UUIDValue() (pgtype.UUID, error) {
	return pgtype.UUID{Bytes: v, Valid: !dbtype.ID(v).IsZero()}, nil
}

// ScanUUID sets the id from the driver's form.
func (v *uuidValue) ScanUUID(from pgtype.UUID) error {
	*v = uuidValue{}
	if from.Valid {
		*v = from.Bytes
	}
	return nil
}

// TimestamptzValue returns the driver's form of a time.
func (v timestampValue) TimestamptzValue() (pgtype.Timestamptz, error) {
	return pgtype.Timestamptz{Time: v.Time, Valid: !v.IsZero()}, nil
}

// ScanTimestamptz sets the time from the driver's form.
func (v *timestampValue) ScanTimestamptz(from pgtype.Timestamptz) error {
	*v = timestampValue{}
	if from.Valid {
		*v = timestampValue(dbtype.NewTime(from.Time))
	}
	return nil
}

// registerScalars makes a connection encode and scan ids and times through their wrappers.
func registerScalars(m *pgtype.Map) {
	m.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc{wrapToEncode}, m.TryWrapEncodePlanFuncs...)
	m.TryWrapScanPlanFuncs = append([]pgtype.TryWrapScanPlanFunc{wrapToScan}, m.TryWrapScanPlanFuncs...)
	// For statements whose parameter types the driver does not ask the server for.
	m.RegisterDefaultPgType(dbtype.ID{}, "uuid")
	m.RegisterDefaultPgType(uuidValue{}, "uuid")
	m.RegisterDefaultPgType(dbtype.Time{}, "timestamptz")
	m.RegisterDefaultPgType(timestampValue{}, "timestamptz")
}

func wrapToEncode(value any) (pgtype.WrappedEncodePlanNextSetter, any, bool) {
	switch v := value.(type) {
	case dbtype.ID:
		return &wrappedEncode{}, uuidValue(v), true
	case dbtype.Time:
		return &wrappedEncode{}, timestampValue(v), true
	}
	return nil, nil, false
}

// wrappedEncode passes the wrapper of a value to the driver's plan.
type wrappedEncode struct{ next pgtype.EncodePlan }

// SetNext sets the driver's plan.
func (p *wrappedEncode) SetNext(next pgtype.EncodePlan) { p.next = next }

// Encode appends the value to buf.
func (p *wrappedEncode) Encode(value any, buf []byte) ([]byte, error) {
	_, wrapper, _ := wrapToEncode(value)
	return p.next.Encode(wrapper, buf)
}

func wrapToScan(target any) (pgtype.WrappedScanPlanNextSetter, any, bool) {
	switch v := target.(type) {
	case *dbtype.ID:
		return &wrappedScan{}, (*uuidValue)(v), true
	case *dbtype.Time:
		return &wrappedScan{}, (*timestampValue)(v), true
	}
	return nil, nil, false
}

// wrappedScan passes the wrapper of a target to the driver's plan.
type wrappedScan struct{ next pgtype.ScanPlan }

// SetNext sets the driver's plan.
func (p *wrappedScan) SetNext(next pgtype.ScanPlan) { p.next = next }

// Scan sets the target from src.
func (p *wrappedScan) Scan(src []byte, target any) error {
	_, wrapper, _ := wrapToScan(target)
	return p.next.Scan(src, wrapper)
}
