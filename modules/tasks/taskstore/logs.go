package taskstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// WriteChunks stores chunks in the transaction that ends their attempts. The transaction must have locked their
// executions. A chunk that already exists is not changed.
func (r *Repository) WriteChunks(b *db.Batch, list []tasks.Written) { writeChunks(b, list, "") }

// WriteLateChunks stores chunks in any transaction. It drops the chunks of tasks that no longer exist. It locks the row
// of each task against deletion until the transaction ends.
func (r *Repository) WriteLateChunks(b *db.Batch, list []tasks.Written) {
	writeChunks(b, list, "JOIN {task_executions} AS t ON t.id = x.id ")
}

const (
	insertChunks = `INSERT INTO {log_chunks} (task_execution_id, attempt, seq, stream, byte_offset, byte_count,
  text, created_at)
SELECT x.id, x.attempt, x.seq, x.stream, x.byte_offset%s, x.byte_count, x.text, $now FROM $x %sWHERE true%s
ON CONFLICT (task_execution_id, attempt, seq) DO NOTHING%s`
	// offsetBefore adds the offset at which an earlier claim of the attempt ended the stream.
	offsetBefore = ` + coalesce((SELECT b.byte_offset + b.byte_count FROM {log_chunks} AS b
  WHERE b.task_execution_id = x.id
    AND b.attempt = x.attempt AND b.seq < x.first AND b.stream = x.stream ORDER BY b.seq DESC LIMIT 1), 0)`
	deleteChunks = `DELETE FROM {log_chunks} WHERE (task_execution_id, attempt, seq) IN (SELECT x.id, x.attempt, x.seq
  FROM $x)`
	// trimChunks deletes the oldest chunks of an attempt that exceeds its limit, because it was deferred repeatedly.
	// Each chunk counts 256 bytes more than its text, so that the number of short chunks is bounded too.
	trimChunks = `DELETE FROM {log_chunks} WHERE (task_execution_id, attempt, seq) IN (SELECT k.task_execution_id,
  k.attempt, k.seq FROM (
  SELECT c.task_execution_id, c.attempt, c.seq,
    sum(c.byte_count + 256) OVER (PARTITION BY c.task_execution_id, c.attempt, c.stream ORDER BY c.seq DESC) AS total
  FROM $x JOIN {log_chunks} AS c ON c.task_execution_id = x.id AND c.attempt = x.attempt) AS k WHERE k.total > $most)`
)

func writeChunks(b *db.Batch, list []tasks.Written, exists string) {
	var first, again, replaced []tasks.Chunk
	for i := range list {
		w := &list[i]
		if w.Resumed {
			again = append(again, w.Chunks...)
		} else {
			first = append(first, w.Chunks...)
		}
		replaced = append(replaced, w.Replaced...)
	}
	share, keep := "", " $keep_plan"
	if exists != "" {
		share, keep = " $share", ""
	}
	for _, s := range []struct {
		chunks []tasks.Chunk
		offset string
	}{{first, ""}, {again, offsetBefore}} {
		if len(s.chunks) == 0 {
			continue
		}
		statement := fmt.Sprintf(insertChunks, s.offset, exists, share, keep)
		b.Exec("write logs", statement, db.Args{"x": chunkSet(s.chunks), "now": b.Tx().Now})
	}
	if len(replaced) > 0 {
		b.Exec("replace logs", deleteChunks, db.Args{"x": keySet(replaced)})
	}
	if len(again) > 0 {
		b.Exec("trim logs", trimChunks, db.Args{"x": attemptSet(again), "most": 2 * tasks.MaxLog})
	}
}

// chunks is the table of the logs.
var (
	chunks    = db.ModelOf[tasks.Chunk]("log_chunks")
	chunkKeys = chunks.Only("attempt", "seq")
	chunkData = chunks.Only("stream", "byte_offset", "byte_count", "text")
)

// keySet returns the keys of chunks; id is the task.
func keySet(list []tasks.Chunk) *db.RowSet {
	ids := make([]dbtype.ID, len(list))
	for i := range list {
		ids[i] = list[i].TaskExecutionID
	}
	return chunkKeys.AddTo(db.IDRows(ids), db.Pointers(list))
}

// attemptSet returns a set with one row for each attempt.
func attemptSet(list []tasks.Chunk) *db.RowSet {
	var ids []dbtype.ID
	var attempts []int64
	for i := range list {
		if n := len(ids); n > 0 && ids[n-1] == list[i].TaskExecutionID && attempts[n-1] == int64(list[i].Attempt) {
			continue
		}
		ids, attempts = append(ids, list[i].TaskExecutionID), append(attempts, int64(list[i].Attempt))
	}
	return db.IDRows(ids).Ints("attempt", attempts)
}

func chunkSet(list []tasks.Chunk) *db.RowSet {
	first := make([]int64, len(list))
	for i := range list {
		first[i] = list[i].FirstSeq()
	}
	return chunkData.AddTo(keySet(list).Ints("first", first), db.Pointers(list))
}

// Log is the output of one attempt of a task, with a note where output was omitted.
type Log struct {
	TaskExecutionID dbtype.ID
	Attempt         int
	Stdout, Stderr  string
}

// Logs returns the output of all attempts of a pipeline execution, ordered by task and attempt.
func (r *Repository) Logs(ctx context.Context, pipeline dbtype.ID) ([]Log, error) {
	type half struct {
		text strings.Builder
		end  int64
	}
	list, err := r.Chunks(ctx, pipeline)
	if err != nil {
		return nil, err
	}
	logs := []Log{}
	for len(list) > 0 {
		l := Log{TaskExecutionID: list[0].TaskExecutionID, Attempt: list[0].Attempt}
		halves := map[tasks.Stream]*half{tasks.Stdout: {}, tasks.Stderr: {}}
		for len(list) > 0 && list[0].TaskExecutionID == l.TaskExecutionID && list[0].Attempt == l.Attempt {
			c := &list[0]
			h := halves[c.Stream]
			h.text.WriteString(tasks.LeftOut(h.end, c))
			h.text.WriteString(c.Text)
			h.end, list = c.End(), list[1:]
		}
		l.Stdout, l.Stderr = halves[tasks.Stdout].text.String(), halves[tasks.Stderr].text.String()
		logs = append(logs, l)
	}
	return logs, nil
}

// Chunks returns the chunks of a pipeline execution, ordered by task, attempt and seq.
func (r *Repository) Chunks(ctx context.Context, pipeline dbtype.ID) ([]tasks.Chunk, error) {
	list := []tasks.Chunk{}
	err := r.db.Query(ctx, `SELECT `+chunks.Columns("c")+
		` FROM {task_executions} AS t JOIN {log_chunks} AS c ON c.task_execution_id = t.id
WHERE t.pipeline_execution_id = $id ORDER BY c.task_execution_id, c.attempt,
  c.seq`, db.Args{"id": pipeline}, chunks.Into(&list))
	return list, db.Wrap("read logs", err)
}

// Position is the last chunk of a task that has been read. The zero attempt and seq are before the first chunk.
type Position struct {
	TaskExecutionID dbtype.ID
	Attempt         int
	Seq             int64
}

// ReadChunks calls row for each chunk after the given positions, ordered by task, attempt and seq. after holds one
// position for each task. ReadChunks stops at the first error of row and returns it, wrapped.
func (r *Repository) ReadChunks(ctx context.Context, after []Position, row func(tasks.Chunk) error) error {
	ids, attempts, seqs := make([]dbtype.ID, len(after)), make([]int64, len(after)), make([]int64, len(after))
	for i, p := range after {
		ids[i], attempts[i], seqs[i] = p.TaskExecutionID, int64(p.Attempt), p.Seq
	}
	err := r.db.Query(ctx, `SELECT `+chunks.Columns("c")+` FROM $x JOIN {log_chunks} AS c ON c.task_execution_id = x.id
WHERE (c.attempt, c.seq) > (x.attempt, x.seq) ORDER BY c.task_execution_id, c.attempt, c.seq`,
		db.Args{"x": db.IDRows(ids).Ints("attempt", attempts).Ints("seq", seqs)}, func(scan db.Scan) error {
			var c tasks.Chunk
			if err := chunks.Scan(&c, scan); err != nil {
				return err
			}
			return row(c)
		})
	return db.Wrap("read logs", err)
}
