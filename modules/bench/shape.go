package bench

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

// Shape is the structure of a run's task graph.
type Shape string

// The shapes. In Layers, each task depends on all tasks of the previous layer.
const (
	Single  Shape = "single"
	Chain   Shape = "chain"   // length tasks, one after the other
	Wide    Shape = "wide"    // width independent tasks
	Diamond Shape = "diamond" // one task, two that depend on it, and one that depends on both
	FanIn   Shape = "fan-in"  // width independent tasks, and one that depends on all of them
	Layers  Shape = "layers"  // length layers of width tasks
)

// Shapes returns all shapes.
func Shapes() []Shape { return []Shape{Single, Chain, Wide, Diamond, FanIn, Layers} }

// HasLength reports whether Length applies to the shape.
func (s Shape) HasLength() bool { return s == Chain || s == Layers }

// HasWidth reports whether Width applies to the shape.
func (s Shape) HasWidth() bool { return s == Wide || s == FanIn || s == Layers }

// maxEdges limits the dependencies of one run, because a definition is stored and read as one document.
const maxEdges = 200_000

// ErrShape is returned for a run that would be too large.
var ErrShape = errors.New("the run is too large")

// Graph returns the dependencies of each task of a run, by index. A task has a higher index than its dependencies.
// Graph fails with ErrShape if the run would be too large, and with another error if the shape is unknown.
func (s Shape) Graph(length, width int) ([][]int, error) {
	var rows []int // tasks of each layer
	switch s {
	case Single:
		rows = []int{1}
	case Diamond:
		rows = []int{1, 2, 1}
	case Wide:
		rows = []int{width}
	case FanIn:
		rows = []int{width, 1}
	case Chain, Layers:
		if s == Chain {
			width = 1
		}
		if length > definition.MaxTasks {
			return nil, fmt.Errorf("%w: length %d, and a pipeline has at most %d tasks", ErrShape, length,
				definition.MaxTasks)
		}
		for range length {
			rows = append(rows, width)
		}
	default:
		return nil, fmt.Errorf("unknown shape %q", s)
	}
	return layered(rows)
}

// layered returns a graph in which each task depends on all tasks of the previous layer.
func layered(rows []int) ([][]int, error) {
	tasks, edges := 0, 0
	for i, n := range rows {
		if tasks += min(n, definition.MaxTasks+1); tasks > definition.MaxTasks {
			return nil, fmt.Errorf("%w: a pipeline has at most %d tasks", ErrShape, definition.MaxTasks)
		}
		if i > 0 {
			edges += n * rows[i-1]
		}
		if edges > maxEdges {
			return nil, fmt.Errorf("%w: a benchmark's run has at most %d dependencies", ErrShape, maxEdges)
		}
	}
	graph := make([][]int, 0, tasks)
	var before []int
	for _, n := range rows {
		row := make([]int, n)
		for i := range row {
			row[i] = len(graph)
			graph = append(graph, before)
		}
		before = row
	}
	return graph, nil
}

// nameOf returns the name of the task with an index.
func nameOf(place int) string { return "t" + strconv.Itoa(place) }

// indexOf returns the index of the task with a name, or -1 if the name was not made by nameOf.
func indexOf(name string) int {
	if len(name) < 2 || name[0] != 't' {
		return -1
	}
	n, err := strconv.Atoi(name[1:])
	if err != nil {
		return -1
	}
	return n
}

// define returns a definition with the given graph, in which all tasks are copies of template.
func define(
	catalog definition.HandlerSource, name string, graph [][]int, template definition.Task,
) (*definition.Definition, error) {
	def := &definition.Definition{Name: name, Tasks: make([]definition.Task, len(graph))}
	for i, needs := range graph {
		t := template
		t.ID = nameOf(i)
		for _, n := range needs {
			t.Needs = append(t.Needs, nameOf(n))
		}
		def.Tasks[i] = t
	}
	if err := def.Check(catalog); err != nil {
		return nil, fmt.Errorf("define %s: %w", name, err)
	}
	return def, nil
}
