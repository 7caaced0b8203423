package floor

import (
	"bytes"
	"testing"
	"time"
)

// TestIDs: UUIDs of version 7, each greater than the one before, and not far ahead of the clock.
func TestIDs(t *testing.T) {
	g, err := newIDs()
	if err != nil {
		t.Fatal(err)
	}
	list := append(g.take(5000), g.take(5000)...)
	for i, x := range list {
		if x[6]>>4 != 7 || x[8]>>6 != 2 {
			t.Fatalf("%x is no UUID of version 7", x)
		}
		if i > 0 && bytes.Compare(list[i-1][:], x[:]) >= 0 {
			t.Fatalf("%x comes after %x", x, list[i-1])
		}
	}
	var ms int64
	for _, b := range list[0][:6] {
		ms = ms<<8 | int64(b)
	}
	if ahead := time.Until(time.UnixMilli(ms)); ahead > time.Minute || ahead < -time.Minute {
		t.Errorf("the first is of %v", time.UnixMilli(ms))
	}
}

// TestRegistry gives back the chains of the tasks that were taken, in their order.
func TestRegistry(t *testing.T) {
	g, err := newIDs()
	if err != nil {
		t.Fatal(err)
	}
	s := newSet(g, 3, 2)
	r := registry{chains: map[id]chain{}}
	r.add(s)
	got := r.look([]id{s.tasks[0][2], s.tasks[0][0]})
	if len(got.tasks) != 2 || got.pipelines[0] != s.pipelines[2] || got.tasks[1][1] != s.tasks[1][0] {
		t.Errorf("%x of %x", got, s)
	}
}
