package dbtest

import (
	"database/sql"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

type status string

// log is a correct model of log_chunks. Each of the other models is wrong in one way.
type log struct {
	TaskExecutionID dbtype.ID `gorm:"primaryKey"`
	Attempt         int       `gorm:"primaryKey"`
	Seq             int64     `gorm:"primaryKey"`
	ByteOffset      int64
	ByteCount       int
	Text            string
	Stream          status
	CreatedAt       dbtype.Time
}

type extraColumn struct {
	TaskExecutionID dbtype.ID `gorm:"primaryKey"`
	Attempt         int       `gorm:"primaryKey"`
	Seq             int64     `gorm:"primaryKey"`
	ByteOffset      int64
	ByteCount       int
	Text            string
	Stream          string
	CreatedAt       dbtype.Time
	Colour          string
}

type missingColumn struct {
	TaskExecutionID dbtype.ID `gorm:"primaryKey"`
	Attempt         int       `gorm:"primaryKey"`
	Seq             int64     `gorm:"primaryKey"`
	ByteOffset      int64
	ByteCount       int
	Text            string
	CreatedAt       dbtype.Time
}

type wrongType struct {
	TaskExecutionID string `gorm:"primaryKey"`
	Attempt         int    `gorm:"primaryKey"`
	Seq             int64  `gorm:"primaryKey"`
	ByteOffset      int64
	ByteCount       int
	Text            string
	Stream          string
	CreatedAt       dbtype.JSON
}

type event struct {
	SequenceNum         int64
	ID                  dbtype.ID
	PipelineExecutionID dbtype.ID
	TaskExecutionID     dbtype.ID
	EventType           status
	Version             sql.NullInt64
	EventData           dbtype.JSON
	WorkerID            string
	Actor               *string
	CreatedAt           dbtype.Time
}

type noTable struct{ ID dbtype.ID }

func TestCheckModelAcceptsTheTable(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, d *db.DB) { CheckModel(t, d, "log_chunks", &log{}) })
}

func TestCompareFindsEachDifference(t *testing.T) {
	t.Parallel()
	wrong := map[string][]string{
		"sqlite": {
			"column created_at is integer, its field dbtype.JSON takes jsonb or text",
			"column task_execution_id is blob, its field string takes text",
		},
		"postgres": {
			"column created_at is timestamp with time zone, its field dbtype.JSON takes jsonb or text",
			"column task_execution_id is uuid, its field string takes text",
		},
	}
	Each(t, func(t *testing.T, d *db.DB) {
		for _, test := range []struct {
			table string
			model any
			want  []string
		}{
			{"log_chunks", &extraColumn{}, []string{"the table has no column colour"}},
			{"log_chunks", &missingColumn{}, []string{"the model has no field for column stream"}},
			{"log_chunks", &wrongType{}, wrong[d.Backend()]},
			{"execution_events", &event{}, []string{"column worker_id may be NULL, its field string can't"}},
			{"no_table", &noTable{}, []string{"there is no such table"}},
		} {
			if diff := cmp.Diff(test.want, differences(t, d, test.table, test.model)); diff != "" {
				t.Errorf("%T (-want +got):\n%s", test.model, diff)
			}
		}
	})
}
