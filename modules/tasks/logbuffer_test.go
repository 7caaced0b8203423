package tasks

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestLogBufferKeepsAllUpToTheLimit(t *testing.T) {
	text := strings.Repeat("0123456789abcde\n", MaxLog/16)
	var b LogBuffer
	for i := 0; i < len(text); i += 1000 {
		if n, err := b.Write([]byte(text[i:min(i+1000, len(text))])); err != nil || n == 0 {
			t.Fatal(n, err)
		}
	}
	if b.String() != text {
		t.Error("a log of exactly the limit was changed")
	}
}

func TestLogBufferKeepsBothEnds(t *testing.T) {
	for _, chunk := range []int{1, 7, 4096, halfLog - 1, halfLog, halfLog + 1, 3 * MaxLog} {
		text := strings.Repeat("x", MaxLog) + strings.Repeat("y", MaxLog)
		text = "first" + text + "last"
		var b LogBuffer
		for i := 0; i < len(text); i += chunk {
			_, _ = b.Write([]byte(text[i:min(i+chunk, len(text))]))
		}
		note := fmt.Sprintf("\n… %d bytes left out …\n", len(text)-MaxLog)
		want := text[:halfLog] + note + text[len(text)-halfLog:]
		if b.String() != want || b.Len() != int64(len(text)) {
			t.Errorf("in pieces of %d: got %d bytes of %d written", chunk, len(b.String()), b.Len())
		}
	}
}

func TestLogBufferCutsBetweenCharacters(t *testing.T) {
	for shift := range 4 {
		var b LogBuffer
		text := strings.Repeat("a", shift) + strings.Repeat("😀", MaxLog/2)
		_, _ = b.Write([]byte(text))
		got := b.String()
		if strings.ContainsAny(got, "?\uFFFD") || !utf8.ValidString(got) {
			t.Errorf("shift %d: a character was broken", shift)
		}
		var left int
		_, note, _ := strings.Cut(got, "… ")
		if _, err := fmt.Sscanf(note, "%d bytes", &left); err != nil {
			t.Fatal(err)
		}
		kept := strings.Count(got, "😀")*4 + shift
		if kept+left != len(text) {
			t.Errorf("shift %d: %d kept and %d left out of %d", shift, kept, left, len(text))
		}
	}
}

func TestLogBufferWriters(t *testing.T) {
	var b LogBuffer
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				_, _ = b.Write([]byte(strings.Repeat("z", 99) + "\n"))
				if b.Len() == 0 {
					t.Error("nothing written")
				}
			}
		})
	}
	wg.Wait()
	if b.Len() != 8*1000*100 || len(b.String()) > MaxLog+64 {
		t.Errorf("got %d bytes of %d written", len(b.String()), b.Len())
	}
}

func TestLogBufferIsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b LogBuffer
		for _, p := range rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(t, "writes") {
			_, _ = b.Write(p)
		}
		if s := b.String(); !utf8.ValidString(s) || strings.Contains(s, "\x00") || int64(len(s)) > b.Len() {
			t.Fatalf("got %q", s)
		}
	})
}

func TestCleanText(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"plain", 5, "plain"},
		{"", 0, ""},
		{"a\x00b\xffc\xfe\xfd", 100, "ab?c?"},
		{"a\xff", 1, "a"},
		{strings.Repeat("é", 40), 40, strings.Repeat("é", 9) + "… (80 bytes in all)"},
		{"🙂🙂", 7, "🙂"},
		{"🙂", 3, ""},
	} {
		if got := CleanText(c.in, c.limit); got != c.want {
			t.Errorf("CleanText(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func TestCleanTextHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		limit := rapid.IntRange(0, 64).Draw(t, "limit")
		got := CleanText(s, limit)
		if len(got) > limit || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Fatalf("CleanText(%q, %d) = %q", s, limit, got)
		}
		if again := CleanText(got, limit); again != got {
			t.Fatalf("cleaning twice changed %q to %q", got, again)
		}
	})
}
