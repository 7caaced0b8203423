package bench

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGraph(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shape         Shape
		length, width int
		want          [][]int
	}{
		{Single, 7, 7, [][]int{nil}},
		{Chain, 3, 7, [][]int{nil, {0}, {1}}},
		{Wide, 7, 3, [][]int{nil, nil, nil}},
		{Diamond, 7, 7, [][]int{nil, {0}, {0}, {1, 2}}},
		{FanIn, 7, 3, [][]int{nil, nil, nil, {0, 1, 2}}},
		{Layers, 2, 2, [][]int{nil, nil, {0, 1}, {0, 1}}},
	} {
		got, err := c.shape.Graph(c.length, c.width)
		if err != nil {
			t.Errorf("%s: %v", c.shape, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.shape, diff)
		}
	}
	const most = int(^uint(0) >> 1)
	for _, c := range []struct {
		shape         Shape
		length, width int
	}{
		{Chain, 100_001, 1},
		{Chain, most, 1},
		{Wide, 1, 100_001},
		{Wide, 1, most},
		{FanIn, 1, 100_000},
		{Layers, 3, 1000},
		{Layers, 3, most},
		{Layers, most, most},
	} {
		if _, err := c.shape.Graph(c.length, c.width); !errors.Is(err, ErrShape) {
			t.Errorf("%s of %d by %d: %v", c.shape, c.length, c.width, err)
		}
	}
	if _, err := Shape("spiral").Graph(1, 1); err == nil {
		t.Error("an unknown shape was made")
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shape              Shape
		tasks              int
		runs, total, every int
	}{
		{Single, 1, 1, 1, 1},
		{Chain, 11, 2, 20, 1},
		{Diamond, 4, 1, 4, 1},
		{Chain, 1_000_000, 100_000, 1_000_000, 10},
		{Wide, 1_000_000, 50, 1_000_000, 1}, // few and large: all of them are observed
	} {
		width := 20_000
		p, err := NewPlan(Config{Shape: c.shape, Length: 10, Width: width, Tasks: c.tasks})
		if err != nil {
			t.Fatal(err)
		}
		if p.runs != c.runs || p.tasks() != c.total || p.Settings().SampleEvery != c.every {
			t.Errorf("%s of %d: %d runs, %d tasks, one of %d observed", c.shape, c.tasks, p.runs, p.tasks(),
				p.Settings().SampleEvery)
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 17, 99_999} {
		if got := indexOf(nameOf(n)); got != n {
			t.Errorf("%d became %d", n, got)
		}
	}
	for _, name := range []string{"", "t", "x1", "tx"} {
		if got := indexOf(name); got != -1 {
			t.Errorf("%q is the place %d", name, got)
		}
	}
}
