package db_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// fixed returns an id without its last 62 bits, which leaves the version, the variant and the time.
func fixed(id dbtype.ID) dbtype.ID {
	clear(id[9:])
	id[8] &= 0xc0
	return id
}

// newIDs returns a new id and its n-1 successors.
func newIDs(n int) []dbtype.ID {
	list, first := make([]dbtype.ID, n), dbtype.NewID()
	for i := range list {
		list[i] = first.Offset(i)
	}
	return list
}

// TestNewIDsAreVersion7 checks that any number of ids are distinct version 7 UUIDs, and in order except where the
// random bits wrap around.
func TestNewIDsAreVersion7(t *testing.T) {
	t.Parallel()
	seen := map[dbtype.ID]bool{}
	for _, n := range []int{0, 1, 2, 5000} {
		list := newIDs(n)
		if len(list) != n {
			t.Fatalf("%d ids, expected %d", len(list), n)
		}
		descents := 0
		for i, id := range list {
			if u := uuid.UUID(id); u.Version() != 7 || u.Variant() != uuid.RFC4122 {
				t.Fatalf("%s has version %d and variant %s", id, u.Version(), u.Variant())
			}
			if seen[id] {
				t.Fatalf("%s was made twice", id)
			}
			seen[id] = true
			if fixed(id) != fixed(list[0]) || id != list[0].Offset(i) {
				t.Fatalf("id %d is %s, beside %s", i, id, list[0])
			}
			if i > 0 && bytes.Compare(list[i-1][:], id[:]) >= 0 {
				descents++
			}
		}
		if descents > 1 {
			t.Errorf("of %d ids, %d come before the one before them", n, descents)
		}
	}
}

// TestNextBeginsAgain checks that Next counts the last 62 bits, wraps around after the last value, and leaves the
// bits before them unchanged.
func TestNextBeginsAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from string
		n    int
		want string
	}{
		{"0197c2a4-7b1e-7abc-8000-000000000000", 0, "0197c2a4-7b1e-7abc-8000-000000000000"},
		{"0197c2a4-7b1e-7abc-8000-000000000000", 1, "0197c2a4-7b1e-7abc-8000-000000000001"},
		{"0197c2a4-7b1e-7abc-8000-0000ffffffff", 1, "0197c2a4-7b1e-7abc-8000-000100000000"},
		{"0197c2a4-7b1e-7abc-80ff-ffffffffffff", 1, "0197c2a4-7b1e-7abc-8100-000000000000"},
		{"0197c2a4-7b1e-7abc-bfff-ffffffffffff", 0, "0197c2a4-7b1e-7abc-bfff-ffffffffffff"},
		{"0197c2a4-7b1e-7abc-bfff-ffffffffffff", 1, "0197c2a4-7b1e-7abc-8000-000000000000"},
		{"0197c2a4-7b1e-7abc-bfff-fffffffffffe", 5, "0197c2a4-7b1e-7abc-8000-000000000003"},
		{"ffffffff-ffff-7fff-bfff-ffffffffffff", 2, "ffffffff-ffff-7fff-8000-000000000001"},
		{"0197c2a4-7b1e-7abc-bfff-ffffffffffff", math.MaxInt64, "0197c2a4-7b1e-7abc-bfff-fffffffffffe"},
	} {
		from, err := dbtype.ParseID(test.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := from.Offset(test.n).String(); got != test.want {
			t.Errorf("%d after %s comes %s, expected %s", test.n, test.from, got, test.want)
		}
	}
}

// TestNextIsCounting checks that, from any id, different counts return different ids, and that steps add up.
func TestNextIsCounting(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var id dbtype.ID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "id"))
		a, b := rapid.IntRange(0, 1<<40).Draw(rt, "a"), rapid.IntRange(0, 1<<40).Draw(rt, "b")
		if fixed(id.Offset(a)) != fixed(id) || id.Offset(a).Offset(b) != id.Offset(a+b) ||
			(id.Offset(a) == id.Offset(b)) != (a == b) {
			rt.Fatalf("%s, %d and %d on: %s, %s, and together %s", id, a, b, id.Offset(a), id.Offset(b), id.Offset(a+b))
		}
	})
}
