package tasks

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/platform/db"
)

// Stream is the name of an output stream of an attempt.
type Stream string

// The streams of an attempt.
const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// Chunk is a stored piece of the output of one attempt. Text contains no NUL, and chunks never split a character.
type Chunk struct {
	TaskExecutionID db.ID `gorm:"primaryKey" json:"task_execution_id"`
	Attempt         int   `gorm:"primaryKey" json:"attempt"`
	// Seq orders the chunks of an attempt. Its upper 32 bits are the task's version at the claim, so that two claims of
	// the same attempt never use the same Seq.
	Seq        int64   `gorm:"primaryKey" json:"seq"`
	Stream     Stream  `json:"stream"`
	ByteOffset int64   `json:"byte_offset"` // offset of the chunk in the stream as written; a gap was omitted
	ByteCount  int     `json:"byte_count"`  // bytes of the stream, before sanitizing
	Text       string  `json:"text"`
	CreatedAt  db.Time `json:"created_at"` // time of storing
}

const seqBits = 32

// TableName returns the name of the table in the tenant's schema.
func (Chunk) TableName(n schema.Namer) string { return n.TableName("log_chunks") }

// End returns the offset in the stream, in bytes, of what follows the chunk.
func (c *Chunk) End() int64 { return c.ByteOffset + int64(c.ByteCount) }

// Written is the output of an attempt that has not been stored yet. It is stored in one transaction.
type Written struct {
	Chunks   []Chunk
	Replaced []Chunk // stored chunks to delete, because only the last half is kept; only the keys are set
	Resumed  bool    // the attempt continues after a deferral, and may have stored chunks
}

// Empty reports whether there is nothing to store.
func (w *Written) Empty() bool { return len(w.Chunks) == 0 }

// WriteChunks stores chunks in the transaction that ends their attempts. The transaction must have locked their
// executions. A chunk that already exists is not changed.
func (r *Repository) WriteChunks(tx db.Tx, list []Written) error { return writeChunks(tx, list, "") }

// WriteLateChunks stores chunks in any transaction. It drops the chunks of tasks that no longer exist. It locks the row
// of each task against deletion until the transaction ends.
func (r *Repository) WriteLateChunks(tx db.Tx, list []Written) error {
	return writeChunks(tx, list, "JOIN {task_executions} AS t ON t.id = x.id ")
}

const (
	insertChunks = `INSERT INTO {log_chunks} (task_execution_id, attempt, seq, stream, byte_offset, byte_count, text, created_at)
SELECT x.id, x.attempt, x.seq, x.stream, x.byte_offset%s, x.byte_count, x.text, $now FROM $x %sWHERE true%s
ON CONFLICT (task_execution_id, attempt, seq) DO NOTHING%s`
	// offsetBefore adds the offset at which an earlier claim of the attempt ended the stream.
	offsetBefore = ` + coalesce((SELECT b.byte_offset + b.byte_count FROM {log_chunks} AS b WHERE b.task_execution_id = x.id
    AND b.attempt = x.attempt AND b.seq < x.first AND b.stream = x.stream ORDER BY b.seq DESC LIMIT 1), 0)`
	deleteChunks = `DELETE FROM {log_chunks} WHERE (task_execution_id, attempt, seq) IN (SELECT x.id, x.attempt, x.seq FROM $x)`
	// trimChunks deletes the oldest chunks of an attempt that exceeds its limit, because it was deferred repeatedly.
	// Each chunk counts 256 bytes more than its text, so that the number of short chunks is bounded too.
	trimChunks = `DELETE FROM {log_chunks} WHERE (task_execution_id, attempt, seq) IN (SELECT k.task_execution_id, k.attempt, k.seq FROM (
  SELECT c.task_execution_id, c.attempt, c.seq,
    sum(c.byte_count + 256) OVER (PARTITION BY c.task_execution_id, c.attempt, c.stream ORDER BY c.seq DESC) AS total
  FROM $x JOIN {log_chunks} AS c ON c.task_execution_id = x.id AND c.attempt = x.attempt) AS k WHERE k.total > $most)`
)

func writeChunks(tx db.Tx, list []Written, exists string) error {
	var first, again, replaced []Chunk
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
		chunks []Chunk
		offset string
	}{{first, ""}, {again, offsetBefore}} {
		if len(s.chunks) == 0 {
			continue
		}
		statement := fmt.Sprintf(insertChunks, s.offset, exists, share, keep)
		if err := tx.QueueExec("write logs", statement, db.Args{"x": chunkSet(s.chunks), "now": tx.Now}); err != nil {
			return err
		}
	}
	if len(replaced) > 0 {
		if err := tx.QueueExec("replace logs", deleteChunks, db.Args{"x": keySet(replaced)}); err != nil {
			return err
		}
	}
	if len(again) == 0 {
		return nil
	}
	return tx.QueueExec("trim logs", trimChunks, db.Args{"x": attemptSet(again), "most": 2 * MaxLog})
}

func keySet(list []Chunk) *db.RowSet {
	ids, attempts, seqs := make([]db.ID, len(list)), make([]int64, len(list)), make([]int64, len(list))
	for i := range list {
		ids[i], attempts[i], seqs[i] = list[i].TaskExecutionID, int64(list[i].Attempt), list[i].Seq
	}
	return db.IDRows(ids).Ints("attempt", attempts).Ints("seq", seqs)
}

// attemptSet returns a set with one row for each attempt.
func attemptSet(list []Chunk) *db.RowSet {
	var ids []db.ID
	var attempts []int64
	for i := range list {
		if n := len(ids); n > 0 && ids[n-1] == list[i].TaskExecutionID && attempts[n-1] == int64(list[i].Attempt) {
			continue
		}
		ids, attempts = append(ids, list[i].TaskExecutionID), append(attempts, int64(list[i].Attempt))
	}
	return db.IDRows(ids).Ints("attempt", attempts)
}

func chunkSet(list []Chunk) *db.RowSet {
	first, offsets, counts := make([]int64, len(list)), make([]int64, len(list)), make([]int64, len(list))
	streams, texts := make([]string, len(list)), make([]string, len(list))
	for i := range list {
		c := &list[i]
		first[i], offsets[i], counts[i] = c.Seq>>seqBits<<seqBits, c.ByteOffset, int64(c.ByteCount)
		streams[i], texts[i] = string(c.Stream), c.Text
	}
	return keySet(list).Ints("first", first).Texts("stream", streams).Ints("byte_offset", offsets).Ints("byte_count", counts).Texts("text", texts)
}

// Log is the output of one attempt of a task, with a note where output was omitted.
type Log struct {
	TaskExecutionID db.ID
	Attempt         int
	Stdout, Stderr  string
}

// Logs returns the output of all attempts of a pipeline execution, ordered by task and attempt.
func (r *Repository) Logs(ctx context.Context, pipeline db.ID) ([]Log, error) {
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
		halves := map[Stream]*half{Stdout: {}, Stderr: {}}
		for len(list) > 0 && list[0].TaskExecutionID == l.TaskExecutionID && list[0].Attempt == l.Attempt {
			c := &list[0]
			h := halves[c.Stream]
			h.text.WriteString(LeftOut(h.end, c))
			h.text.WriteString(c.Text)
			h.end, list = c.End(), list[1:]
		}
		l.Stdout, l.Stderr = halves[Stdout].text.String(), halves[Stderr].text.String()
		logs = append(logs, l)
	}
	return logs, nil
}

// LeftOut returns a note with the number of omitted bytes if the chunk does not begin at end, the offset at which the
// previous chunk of its stream ended. Otherwise it returns "".
func LeftOut(end int64, c *Chunk) string {
	if left := c.ByteOffset - end; left > 0 {
		return fmt.Sprintf("\n… %d bytes left out …\n", left)
	}
	return ""
}

// Chunks returns the chunks of a pipeline execution, ordered by task, attempt and seq.
func (r *Repository) Chunks(ctx context.Context, pipeline db.ID) ([]Chunk, error) {
	list := []Chunk{}
	err := r.db.Query(ctx, `SELECT `+chunkFields+` FROM {task_executions} AS t JOIN {log_chunks} AS c ON c.task_execution_id = t.id
WHERE t.pipeline_execution_id = $id ORDER BY c.task_execution_id, c.attempt, c.seq`, db.Args{"id": pipeline}, scanChunks(&list))
	return list, wrap("read logs", err)
}

const chunkFields = `c.task_execution_id, c.attempt, c.seq, c.stream, c.byte_offset, c.byte_count, c.text, c.created_at`

func scanChunks(to *[]Chunk) func(scan func(...any) error) error {
	return func(scan func(...any) error) error {
		var c Chunk
		err := scan(&c.TaskExecutionID, &c.Attempt, &c.Seq, &c.Stream, &c.ByteOffset, &c.ByteCount, &c.Text, &c.CreatedAt)
		*to = append(*to, c)
		return err
	}
}

// Position is the last chunk of a task that has been read. The zero attempt and seq are before the first chunk.
type Position struct {
	TaskExecutionID db.ID
	Attempt         int
	Seq             int64
}

// ReadChunks calls row for each chunk after the given positions, ordered by task, attempt and seq. after holds one
// position for each task. ReadChunks stops at the first error of row and returns it, wrapped.
func (r *Repository) ReadChunks(ctx context.Context, after []Position, row func(Chunk) error) error {
	ids, attempts, seqs := make([]db.ID, len(after)), make([]int64, len(after)), make([]int64, len(after))
	for i, p := range after {
		ids[i], attempts[i], seqs[i] = p.TaskExecutionID, int64(p.Attempt), p.Seq
	}
	var one []Chunk
	read := scanChunks(&one)
	err := r.db.Query(ctx, `SELECT `+chunkFields+` FROM $x JOIN {log_chunks} AS c ON c.task_execution_id = x.id
WHERE (c.attempt, c.seq) > (x.attempt, x.seq) ORDER BY c.task_execution_id, c.attempt, c.seq`,
		db.Args{"x": db.IDRows(ids).Ints("attempt", attempts).Ints("seq", seqs)}, func(scan func(...any) error) error {
			one = one[:0]
			if err := read(scan); err != nil {
				return err
			}
			return row(one[0])
		})
	return wrap("read logs", err)
}
