package tasks

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"unicode/utf8"
)

// Limits of the output of an attempt. Sizes are in bytes.
const (
	halfLogBytes  = MaxLog / 2
	maxChunkBytes = 16 << 10 // maximum size of one chunk
	// maxPendingChunks is a number of chunks, not of bytes. An attempt with this many chunks that have not been taken
	// no longer preserves their order across streams: output then extends the last chunk of its own stream.
	maxPendingChunks = 32
)

// Output collects the output of one attempt until it is stored. It keeps at most MaxLog bytes of each stream: the first
// half, in which programs announce what they do, and the last half, in which they report errors. It is safe for
// concurrent use. Writing never returns an error, so that output cannot fail a task. Use NewOutput to create it.
type Output struct {
	pending func(*Output) // called when there is output to take; may be nil

	mu       sync.Mutex
	chunk    Chunk // the task, the attempt, and the last Seq used
	resumed  bool
	closed   bool
	notified bool
	chunks   []piece // not taken yet, in the order of writing
	streams  [2]stream
}

// piece is the part of a stream that will become one chunk.
type piece struct {
	stream *stream
	offset int64
	data   []byte
}

// stream is the state of stdout or stderr.
type stream struct {
	name    Stream
	written int64  // in bytes, without the incomplete character
	broken  []byte // the first bytes of an incomplete character
	pending int    // bytes of the last half that have not been taken
	stored  []storedChunk
	kept    int // bytes of the chunks in stored
}

// storedChunk is a chunk of the last half that has been taken. It is deleted when newer chunks exceed the limit.
type storedChunk struct {
	seq   int64
	bytes int
}

// NewOutput returns the output of a claimed task's attempt. pending is called, with the lock held, when there is output
// to take and there was none before. It must return quickly and must not call methods of the Output.
func NewOutput(t Task, resumed bool, pending func(*Output)) *Output {
	o := &Output{
		pending: pending, resumed: resumed,
		chunk: Chunk{TaskExecutionID: t.ID, Attempt: t.Attempt, Seq: t.Version << seqBits},
	}
	o.streams[0].name, o.streams[1].name = Stdout, Stderr
	return o
}

// Writer returns a writer for a stream. Its Write never fails and never writes less than it was given.
func (o *Output) Writer(name Stream) io.Writer {
	for i := range o.streams {
		if o.streams[i].name == name {
			return writer{o, &o.streams[i]}
		}
	}
	return io.Discard
}

type writer struct {
	output *Output
	stream *stream
}

func (w writer) Write(p []byte) (int, error) {
	w.output.write(w.stream, p)
	return len(p), nil
}

func (o *Output) write(s *stream, p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(p) == 0 {
		return
	}
	if len(s.broken) > 0 {
		p = slices.Concat(s.broken, p)
	}
	rest := incomplete(p)
	s.broken = append([]byte(nil), p[len(p)-rest:]...)
	o.add(s, p[:len(p)-rest])
	if len(o.chunks) > 0 && !o.notified && o.pending != nil {
		o.notified = true
		o.pending(o)
	}
}

// add appends p, which contains only complete characters. The caller holds the lock.
func (o *Output) add(s *stream, p []byte) {
	if skip := len(p) - halfLogBytes; skip > 0 && s.inTail(s.written) {
		for skip < len(p) && !utf8.RuneStart(p[skip]) {
			skip++
		}
		o.dropPending(s, 0)
		s.written, p = s.written+int64(skip), p[skip:]
	}
	for len(p) > 0 {
		i := o.pieceFor(s)
		free := maxChunkBytes - len(o.chunks[i].data)
		n := len(p)
		if n > free {
			n = free - incomplete(p[:free])
		}
		o.chunks[i].data = append(o.chunks[i].data, p[:n]...)
		if s.inTail(o.chunks[i].offset) {
			s.pending += n
		}
		s.written, p = s.written+int64(n), p[n:]
		o.dropPending(s, halfLogBytes)
	}
}

// inTail reports whether a chunk that begins at the offset belongs to the last half.
func (s *stream) inTail(offset int64) bool { return offset > halfLogBytes-maxChunkBytes }

// pieceFor returns the index of the piece to which the stream is written next. It appends a piece if necessary.
func (o *Output) pieceFor(s *stream) int {
	for i := len(o.chunks) - 1; i >= 0; i-- {
		c := &o.chunks[i]
		if c.stream == s {
			if c.offset+int64(len(c.data)) == s.written && len(c.data) <= maxChunkBytes-utf8.UTFMax {
				return i
			}
			break
		}
		if len(o.chunks) < maxPendingChunks {
			break
		}
	}
	o.chunks = append(o.chunks, piece{stream: s, offset: s.written})
	return len(o.chunks) - 1
}

// dropPending deletes the oldest pieces of the last half of a stream until its pending bytes do not exceed most.
func (o *Output) dropPending(s *stream, most int) {
	for i := 0; s.pending > most && i < len(o.chunks); {
		if c := &o.chunks[i]; c.stream == s && s.inTail(c.offset) {
			s.pending -= len(c.data)
			o.chunks = slices.Delete(o.chunks, i, i+1)
			continue
		}
		i++
	}
}

// Take returns the output that was written since the last call, to be stored.
func (o *Output) Take() Written {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.take()
}

// Close returns the remaining output. Later writes are discarded.
func (o *Output) Close() Written {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.streams {
		s := &o.streams[i]
		p := s.broken
		s.broken = nil
		o.add(s, bytes.Clone(p))
	}
	o.closed = true
	return o.take()
}

func (o *Output) take() (w Written) {
	o.notified = false
	for _, p := range o.chunks {
		c := o.chunk
		o.chunk.Seq++
		c.Seq = o.chunk.Seq
		c.Stream, c.ByteOffset, c.ByteCount, c.Text = p.stream.name, p.offset, len(p.data), sanitize(string(p.data))
		w.Chunks = append(w.Chunks, c)
		if p.stream.inTail(p.offset) {
			p.stream.stored = append(p.stream.stored, storedChunk{c.Seq, c.ByteCount})
			p.stream.kept += c.ByteCount
			p.stream.pending -= c.ByteCount
		}
	}
	o.chunks = nil
	w.Resumed = o.resumed
	for i := range o.streams {
		s := &o.streams[i]
		for s.kept > halfLogBytes {
			old := o.chunk
			old.Seq = s.stored[0].seq
			w.Replaced = append(w.Replaced, old)
			s.kept -= s.stored[0].bytes
			s.stored = s.stored[1:]
		}
	}
	return w
}
