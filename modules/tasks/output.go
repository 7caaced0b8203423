package tasks

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"unicode/utf8"
)

// How an attempt's output is cut into chunks, in bytes.
const (
	halfLogBytes  = MaxLog / 2
	maxChunkBytes = 16 << 10 // of one chunk
	// maxPendingBytes is how many chunks an attempt holds before their order across streams is given up: a further
	// piece then extends the last chunk of its own stream.
	maxPendingBytes = 32
)

// Output collects what one attempt writes, until it is stored. It keeps up to MaxLog bytes of each stream: the first
// half, where a program says what it is about to do, and the last half, where it says what went wrong. It is safe for
// concurrent use. Writing never returns an error, so that a task's output cannot fail the task. Make it with NewOutput.
type Output struct {
	pending func(*Output) // told when there is something to take; nil: nobody

	mu      sync.Mutex
	chunk   Chunk // its task and attempt, and the last number given
	resumed bool
	closed  bool
	told    bool
	chunks  []piece // not taken yet, in the order of writing
	streams [2]stream
}

// piece is a part of a stream that lies in one chunk.
type piece struct {
	stream *stream
	offset int64
	data   []byte
}

// stream is stdout or stderr of an attempt.
type stream struct {
	name    Stream
	written int64  // bytes, without the incomplete character
	broken  []byte // the beginning of a character whose rest is to come
	pending int    // bytes of the pieces not taken yet that belong to the last half
	stored  []storedChunk
	kept    int // bytes of the stored chunks
}

// storedChunk is a chunk of the last half that has been taken, and has to go when newer ones need its place.
type storedChunk struct {
	seq   int64
	bytes int
}

// NewOutput makes the output of a claimed task's attempt. The function is called when there is something to take that
// was not there before; it must be quick.
func NewOutput(t Task, resumed bool, pending func(*Output)) *Output {
	o := &Output{
		pending: pending, resumed: resumed,
		chunk: Chunk{TaskExecutionID: t.ID, Attempt: t.Attempt, Seq: t.Version << seqBits},
	}
	o.streams[0].name, o.streams[1].name = Stdout, Stderr
	return o
}

// Writer is where a stream is written. It takes all that it is given.
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
	if len(o.chunks) > 0 && !o.told && o.pending != nil {
		o.told = true
		o.pending(o)
	}
}

// add takes whole characters. Callers hold the lock.
func (o *Output) add(s *stream, p []byte) {
	if skip := len(p) - halfLogBytes; skip > 0 && s.inTail(s.written) {
		for skip < len(p) && !utf8.RuneStart(p[skip]) {
			skip++
		}
		o.dropPending(s, 0)
		s.written, p = s.written+int64(skip), p[skip:]
	}
	for len(p) > 0 {
		i := o.place(s)
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

// place gives the piece that the stream is written to next.
func (o *Output) place(s *stream) int {
	for i := len(o.chunks) - 1; i >= 0; i-- {
		c := &o.chunks[i]
		if c.stream == s {
			if c.offset+int64(len(c.data)) == s.written && len(c.data) <= maxChunkBytes-utf8.UTFMax {
				return i
			}
			break
		}
		if len(o.chunks) < maxPendingBytes {
			break
		}
	}
	o.chunks = append(o.chunks, piece{stream: s, offset: s.written})
	return len(o.chunks) - 1
}

// dropPending leaves out the oldest pieces of a stream's last half until no more than so many bytes are left.
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

// Take gives what has been written since it was last called, to be stored.
func (o *Output) Take() Written {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.take()
}

// Close takes what is left. What is written later is thrown away.
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
	o.told = false
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
