package dbtest

import (
	"database/sql"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/platform/db"
)

type status string

// log is a correct model of log_chunks. Each of the other models is wrong in one way.
type log struct {
	TaskExecutionID db.ID `gorm:"primaryKey"`
	Attempt         int   `gorm:"primaryKey"`
	Seq             int64 `gorm:"primaryKey"`
	ByteOffset      int64
	ByteCount       int
	Text            string
	Stream          status
	CreatedAt       db.Time
}

func (log) TableName(n schema.Namer) string { return n.TableName("log_chunks") }

type extraColumn struct {
	TaskExecutionID db.ID `gorm:"primaryKey"`
	Attempt         int   `gorm:"primaryKey"`
	Seq             int64 `gorm:"primaryKey"`
	ByteOffset      int64
	ByteCount       int
	Text            string
	Stream          string
	CreatedAt       db.Time
	Colour          string
}

func (extraColumn) TableName(n schema.Namer) string { return n.TableName("log_chunks") }

type missingColumn struct {
	TaskExecutionID db.ID `gorm:"primaryKey"`
	Attempt         int   `gorm:"primaryKey"`
	Seq             int64 `gorm:"primaryKey"`
	ByteOffset      int64
	ByteCount       int
	Text            string
	CreatedAt       db.Time
}

func (missingColumn) TableName(n schema.Namer) string { return n.TableName("log_chunks") }

type wrongType struct {
	TaskExecutionID string `gorm:"primaryKey"`
	Attempt         int    `gorm:"primaryKey"`
	Seq             int64  `gorm:"primaryKey"`
	ByteOffset      int64
	ByteCount       int
	Text            string
	Stream          string
	CreatedAt       db.JSON
}

func (wrongType) TableName(n schema.Namer) string { return n.TableName("log_chunks") }

type event struct {
	SequenceNum         int64
	ID                  db.ID
	PipelineExecutionID db.ID
	TaskExecutionID     db.ID
	EventType           status
	Version             sql.NullInt64
	EventData           db.JSON
	WorkerID            string
	Actor               *string
	CreatedAt           db.Time
}

func (event) TableName(n schema.Namer) string { return n.TableName("execution_events") }

type noTable struct{ ID db.ID }

func TestCheckModelAcceptsTheTable(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, d *db.DB) { CheckModel(t, d, &log{}) })
}

func TestCompareFindsEachDifference(t *testing.T) {
	t.Parallel()
	wrong := map[string][]string{
		"sqlite": {
			"column created_at is integer, its field db.JSON takes jsonb or text",
			"column task_execution_id is blob, its field string takes text",
		},
		"postgres": {
			"column created_at is timestamp with time zone, its field db.JSON takes jsonb or text",
			"column task_execution_id is uuid, its field string takes text",
		},
	}
	Each(t, func(t *testing.T, d *db.DB) {
		for _, test := range []struct {
			model any
			want  []string
		}{
			{&extraColumn{}, []string{"the table has no column colour"}},
			{&missingColumn{}, []string{"the model has no field for column stream"}},
			{&wrongType{}, wrong[d.Backend()]},
			{&event{}, []string{"column worker_id may be NULL, its field string can't"}},
			{&noTable{}, []string{"there is no such table"}},
		} {
			g, err := d.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s, err := schema.Parse(test.model, &sync.Map{}, g.NamingStrategy)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, compare(s, columns(t, d, s.Table))); diff != "" {
				t.Errorf("%T (-want +got):\n%s", test.model, diff)
			}
		}
	})
}
