package tasks

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// LogBuffer keeps what an attempt writes, up to MaxLog bytes: the first half, where a program says what it is about to do, and the
// last half, where it says what went wrong. The zero value is ready; it is safe for concurrent use. Writing never returns an error,
// so that a task's output cannot fail the task.
type LogBuffer struct {
	mu    sync.Mutex
	head  []byte // the first bytes, at most halfLog
	tail  []byte // the last bytes, at most halfLog; a ring once it is full
	next  int    // where the ring is written next, which is also its oldest byte
	total int64  // bytes written
}

const halfLog = MaxLog / 2

// Write takes all of p.
func (b *LogBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(p)
	b.total += int64(n)
	if room := halfLog - len(b.head); room > 0 {
		room = min(room, len(p))
		b.head = append(b.head, p[:room]...)
		p = p[room:]
	}
	b.keepLast(p)
	return n, nil
}

func (b *LogBuffer) keepLast(p []byte) {
	if len(p) > halfLog {
		p = p[len(p)-halfLog:]
	}
	if room := halfLog - len(b.tail); room > 0 {
		room = min(room, len(p))
		b.tail = append(b.tail, p[:room]...)
		p = p[room:]
	}
	for len(p) > 0 {
		n := copy(b.tail[b.next:], p)
		b.next = (b.next + n) % halfLog
		p = p[n:]
	}
}

// Len is the number of bytes written so far, kept or not.
func (b *LogBuffer) Len() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

// String is what was kept, as text that both databases take: valid UTF-8 without NUL. A note stands where bytes were left out.
func (b *LogBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := string(b.tail[b.next:]) + string(b.tail[:b.next])
	if b.total == int64(len(b.head)+len(last)) {
		return clean(string(b.head) + last)
	}
	first := cutBroken(string(b.head))
	last = skipBroken(last)
	left := b.total - int64(len(first)+len(last))
	return fmt.Sprintf("%s\n… %d bytes left out …\n%s", clean(first), left, clean(last))
}

// skipBroken drops a character at the start of s whose beginning was left out.
func skipBroken(s string) string {
	for i := 0; i < utf8.UTFMax && i < len(s); i++ {
		if utf8.RuneStart(s[i]) {
			return s[i:]
		}
	}
	return s
}

// cutBroken drops a character at the end of s whose rest was left out.
func cutBroken(s string) string {
	for i := 1; i < utf8.UTFMax && i <= len(s); i++ {
		if c := s[len(s)-i]; utf8.RuneStart(c) {
			if !utf8.FullRuneInString(s[len(s)-i:]) {
				return s[:len(s)-i]
			}
			break
		}
	}
	return s
}

// clean never makes a text longer: a run of bytes that are not UTF-8 becomes one question mark, a NUL nothing.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "")
}

// CleanText makes a text that both databases take: valid UTF-8, no NUL, at most limit bytes, cut between two characters with a note
// of how much is missing (without the note where limit leaves no room for it).
func CleanText(s string, limit int) string {
	s = clean(s)
	if len(s) <= limit {
		return s
	}
	note := fmt.Sprintf("… (%d bytes in all)", len(s))
	if len(note) > limit {
		note = ""
	}
	return cutBroken(s[:max(limit-len(note), 0)]) + note
}
