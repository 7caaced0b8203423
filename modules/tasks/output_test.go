package tasks

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// shelf is what a database keeps of an output that is taken now and then.
type shelf struct{ chunks []Chunk }

func (s *shelf) store(w Written) {
	for _, old := range w.Replaced {
		for i := range s.chunks {
			if s.chunks[i].Seq == old.Seq {
				s.chunks = append(s.chunks[:i], s.chunks[i+1:]...)
				break
			}
		}
	}
	s.chunks = append(s.chunks, w.Chunks...)
}

// text joins the chunks of a stream, and says how many bytes of it are kept.
func (s *shelf) text(name Stream) (text string, kept int) {
	var end int64
	for i := range s.chunks {
		if c := &s.chunks[i]; c.Stream == name {
			text += LeftOut(end, c) + c.Text
			end, kept = c.End(), kept+c.ByteCount
		}
	}
	return text, kept
}

func TestOutputKeepsAllUpToTheLimit(t *testing.T) {
	text := strings.Repeat("0123456789abcde\n", (MaxLog-maxChunkBytes)/16)
	for _, every := range []int{1000, 1 << 20} {
		var kept shelf
		o := NewOutput(Task{}, false, nil)
		for i := 0; i < len(text); i += 1000 {
			if n, err := o.Writer(Stdout).Write([]byte(text[i:min(i+1000, len(text))])); err != nil || n == 0 {
				t.Fatal(n, err)
			}
			if i%every == every-1000 {
				kept.store(o.Take())
			}
		}
		kept.store(o.Close())
		if got, _ := kept.text(Stdout); got != text {
			t.Errorf("taken every %d: %d bytes of %d are kept", every, len(got), len(text))
		}
	}
}

// TestOutputKeepsBothEnds: whenever it is taken, the beginning and the end of a stream are kept, and the gap says how
// much is missing.
func TestOutputKeepsBothEnds(t *testing.T) {
	for _, size := range []int{997, 4096, halfLogBytes - 1, halfLogBytes, halfLogBytes + 1, 3 * MaxLog} {
		for _, every := range []int{1, 3, 1 << 20} {
			text := "first" + strings.Repeat("x", MaxLog) + strings.Repeat("y", MaxLog) + "last"
			var kept shelf
			o := NewOutput(Task{}, false, nil)
			for n, i := 0, 0; i < len(text); n, i = n+1, i+size {
				_, _ = o.Writer(Stderr).Write([]byte(text[i:min(i+size, len(text))]))
				if n%every == every-1 {
					kept.store(o.Take())
				}
			}
			kept.store(o.Close())
			got, bytes := kept.text(Stderr)
			note := fmt.Sprintf("\n… %d bytes left out …\n", len(text)-bytes)
			head, tail, found := strings.Cut(got, note)
			if !found || !strings.HasPrefix(text, head) || !strings.HasSuffix(text, tail) {
				t.Errorf("in pieces of %d, taken every %d: no note %q between two ends", size, every, note)
			}
			if bytes > MaxLog || min(len(head), len(tail)) < halfLogBytes-maxChunkBytes {
				t.Errorf("in pieces of %d, taken every %d: %d and %d bytes are kept", size, every, len(head), len(tail))
			}
		}
	}
}

func TestOutputCutsBetweenCharacters(t *testing.T) {
	for shift := range 4 {
		for _, size := range []int{101, 1 << 20} {
			var kept shelf
			o := NewOutput(Task{}, false, nil)
			text := strings.Repeat("a", shift) + strings.Repeat("😀", MaxLog/2)
			for i := 0; i < len(text); i += size {
				_, _ = o.Writer(Stdout).Write([]byte(text[i:min(i+size, len(text))]))
				if i%1000 == 0 {
					kept.store(o.Take())
				}
			}
			kept.store(o.Close())
			got, bytes := kept.text(Stdout)
			if strings.ContainsAny(got, "?\uFFFD") || !utf8.ValidString(got) {
				t.Errorf("shift %d, in pieces of %d: a character was broken", shift, size)
			}
			if n := strings.Count(got, "😀")*4 + shift; n != bytes {
				t.Errorf("shift %d, in pieces of %d: %d bytes are kept, and %d counted", shift, size, n, bytes)
			}
		}
	}
}

// TestOutputKeepsTheOrder: chunks come in the order of writing, across both streams and all that is taken.
func TestOutputKeepsTheOrder(t *testing.T) {
	o := NewOutput(Task{Version: 3, Attempt: 2}, true, nil)
	var kept shelf
	for i, text := range []string{"a", "b", "C", "d", "E", "F"} {
		name := Stdout
		if text < "a" {
			name = Stderr
		}
		_, _ = o.Writer(name).Write([]byte(text))
		if i == 3 {
			kept.store(o.Take())
		}
	}
	last := o.Close()
	kept.store(last)
	want := []Chunk{
		{Attempt: 2, Seq: 3<<32 + 1, Stream: Stdout, ByteOffset: 0, ByteCount: 2, Text: "ab"},
		{Attempt: 2, Seq: 3<<32 + 2, Stream: Stderr, ByteOffset: 0, ByteCount: 1, Text: "C"},
		{Attempt: 2, Seq: 3<<32 + 3, Stream: Stdout, ByteOffset: 2, ByteCount: 1, Text: "d"},
		{Attempt: 2, Seq: 3<<32 + 4, Stream: Stderr, ByteOffset: 1, ByteCount: 2, Text: "EF"},
	}
	if diff := cmp.Diff(want, kept.chunks); diff != "" || !last.Resumed {
		t.Error(diff)
	}
	_, _ = o.Writer(Stdout).Write([]byte("too late"))
	if w := o.Take(); !w.Empty() {
		t.Errorf("after the end there is still %v", w)
	}
}

func TestOutputTellsOnce(t *testing.T) {
	told := 0
	o := NewOutput(Task{}, false, func(*Output) { told++ })
	for range 3 {
		_, _ = o.Writer(Stdout).Write(nil)
		_, _ = o.Writer(Stdout).Write([]byte("\xf0\x9f")) // half a character is nothing to take yet
		if w := o.Take(); told > 0 && w.Empty() {
			t.Error("told of nothing")
		}
		told = 0
		_, _ = o.Writer(Stdout).Write([]byte("\x98\x80 and"))
		_, _ = o.Writer(Stderr).Write([]byte("more"))
		if told != 1 {
			t.Errorf("told %d times of what there is to take", told)
		}
		if w := o.Take(); len(w.Chunks) != 2 {
			t.Errorf("took %v", w)
		}
		told = 0
	}
}

func TestOutputManyWriters(t *testing.T) {
	o := NewOutput(Task{}, false, nil)
	var kept shelf
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 1000 {
				_, _ = o.Writer([]Stream{Stdout, Stderr}[i%2]).Write([]byte(strings.Repeat("z", 99) + "\n"))
			}
		})
	}
	for range 20 {
		w := o.Take()
		if len(w.Chunks) > maxPendingChunks+2*MaxLog/maxChunkBytes {
			t.Errorf("%d chunks at once", len(w.Chunks))
		}
		kept.store(w)
	}
	wg.Wait()
	kept.store(o.Close())
	for _, name := range []Stream{Stdout, Stderr} {
		text, bytes := kept.text(name)
		if bytes > MaxLog || bytes < MaxLog-2*maxChunkBytes ||
			!strings.Contains(text, fmt.Sprintf("… %d bytes left out …", 4*1000*100-bytes)) {
			t.Errorf("%s: %d bytes are kept", name, bytes)
		}
	}
}

func TestOutputIsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := NewOutput(Task{}, false, nil)
		var kept shelf
		var written [2]int
		for _, p := range rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(t, "writes") {
			i := len(p) % 2
			written[i] += len(p)
			_, _ = o.Writer([]Stream{Stdout, Stderr}[i]).Write(p)
			if len(p)%3 == 0 {
				kept.store(o.Take())
			}
		}
		kept.store(o.Close())
		for i, name := range []Stream{Stdout, Stderr} {
			s, n := kept.text(name)
			if !utf8.ValidString(s) || strings.Contains(s, "\x00") || len(s) > n || n != written[i] {
				t.Fatalf("%d bytes were written, %d are counted: %q", written[i], n, s)
			}
		}
	})
}
