package tasks

import (
	"fmt"

	"github.com/sluiceworks/sluice/platform/dbtype"
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
	TaskExecutionID dbtype.ID `gorm:"primaryKey" json:"task_execution_id"`
	Attempt         int       `gorm:"primaryKey" json:"attempt"`
	// Seq orders the chunks of an attempt. Its upper 32 bits are the task's version at the claim, so that two claims of
	// the same attempt never use the same Seq.
	Seq        int64       `gorm:"primaryKey" json:"seq"`
	Stream     Stream      `json:"stream"`
	ByteOffset int64       `json:"byte_offset"` // offset of the chunk in the stream as written; a gap was omitted
	ByteCount  int         `json:"byte_count"`  // bytes of the stream, before sanitizing
	Text       string      `json:"text"`
	CreatedAt  dbtype.Time `json:"created_at"` // time of storing
}

const seqBits = 32

// End returns the offset in the stream, in bytes, of what follows the chunk.
func (c *Chunk) End() int64 { return c.ByteOffset + int64(c.ByteCount) }

// FirstSeq returns the lowest Seq of the chunk's claim.
func (c *Chunk) FirstSeq() int64 { return c.Seq >> seqBits << seqBits }

// Written is the output of an attempt that has not been stored yet. It is stored in one transaction.
type Written struct {
	Chunks   []Chunk
	Replaced []Chunk // stored chunks to delete, because only the last half is kept; only the keys are set
	Resumed  bool    // the attempt continues after a deferral, and may have stored chunks
}

// Empty reports whether there is nothing to store.
func (w *Written) Empty() bool { return len(w.Chunks) == 0 }

// LeftOut returns a note with the number of omitted bytes if the chunk does not begin at end, the offset at which the
// previous chunk of its stream ended. Otherwise it returns "".
func LeftOut(end int64, c *Chunk) string {
	if left := c.ByteOffset - end; left > 0 {
		return fmt.Sprintf("\n… %d bytes left out …\n", left)
	}
	return ""
}
