package eventstore_test

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestCursorText checks that a cursor can be read from its text, and that no other text is accepted.
func TestCursorText(t *testing.T) {
	t.Parallel()
	d := dbtest.SQLite(t)
	r := eventstore.NewRepository(d)
	add(t, d, r, about(dbtype.NewID(), events.TaskClaimed))
	text := take(t, r, "", 1)[0].Cursor.String()
	c, err := eventstore.ParseCursor(text)
	if err != nil || c.String() != text || c.IsZero() {
		t.Fatalf("%q came back as %q: %v", text, c, err)
	}
	if c, err := eventstore.ParseCursor(""); err != nil || !c.IsZero() || c.String() != "" {
		t.Errorf("the beginning: %q, %v", c, err)
	}
	refused := func(t rapid.TB, s string) {
		if _, err := eventstore.ParseCursor(s); !errors.Is(err, eventstore.ErrCursor) {
			t.Errorf("%q: got %v, expected ErrCursor", s, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(text)
		switch at := rapid.IntRange(0, len(b)-1).Draw(t, "at"); rapid.IntRange(0, 3).Draw(t, "damage") {
		case 0:
			b = b[:at]
			if at == 0 {
				b = []byte("=")
			}
		case 1:
			b = append(b, b[at])
		case 2:
			raw, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			raw[at%len(raw)] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			b = []byte(base64.RawURLEncoding.EncodeToString(raw))
		default:
			b = []byte(rapid.StringMatching(`[A-Za-z0-9_-]{1,100}`).Draw(t, "text"))
		}
		refused(t, string(b))
	})
}

// take reads n events after a cursor's text and then stops.
func take(t *testing.T, r *eventstore.Repository, cursor string, n int) []eventstore.TailedEvent {
	t.Helper()
	return takeBy(t, r, cursor, n, eventstore.TailOptions{})
}

func takeBy(
	t *testing.T, r *eventstore.Repository, cursor string, n int, o eventstore.TailOptions,
) []eventstore.TailedEvent {
	t.Helper()
	if n == 0 {
		return nil
	}
	c, err := eventstore.ParseCursor(cursor)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), aMinute)
	defer cancel()
	var out []eventstore.TailedEvent
	for b, err := range r.Tail(ctx, c, o) {
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(out), n, err)
		}
		if out = append(out, b.Events...); len(out) >= n {
			break
		}
	}
	return out[:n]
}
