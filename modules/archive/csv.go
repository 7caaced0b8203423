package archive

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ExportEvents writes the events of the chosen executions as CSV with a header line. It is for other programs; the
// CSV cannot be imported.
func (a *Archive) ExportEvents(ctx context.Context, c Selection, out io.Writer) (Counts, error) {
	var n Counts
	w := csv.NewWriter(out)
	err := w.Write([]string{
		"sequence_num", "id", "pipeline_execution_id", "task_execution_id", "event_type", "version", "event_data",
		"worker_id", "actor", "created_at",
	})
	if err != nil {
		return n, fmt.Errorf("write the export: %w", err)
	}
	row := func(scan db.Scan) error {
		e, err := scanEvent(scan)
		if err != nil {
			return err
		}
		task, version := "", ""
		if !e.TaskExecutionID.IsZero() {
			task = e.TaskExecutionID.String()
		}
		if e.Version != nil {
			version = strconv.FormatInt(*e.Version, 10)
		}
		n.Events++
		return w.Write([]string{
			strconv.FormatInt(e.SequenceNum, 10), e.ID.String(), e.PipelineExecutionID.String(), task,
			string(e.EventType), version,
			string(e.EventData), string(e.WorkerID), string(e.Actor), e.CreatedAt.UTC().Format(dbtype.TimeFormat),
		})
	}
	err = a.pages(ctx, c, func(ctx context.Context, ids []dbtype.ID) error {
		n.Executions += int64(len(ids))
		if err := a.db.Query(ctx, selectEvents, db.Args{"x": db.IDRows(ids)}, row); err != nil {
			return fmt.Errorf("export events: %w", err)
		}
		if c.Progress != nil {
			c.Progress(n)
		}
		return nil
	})
	if err != nil {
		return n, err
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return n, fmt.Errorf("write the export: %w", err)
	}
	return n, nil
}
