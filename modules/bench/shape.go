package bench

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

// Shape is how the tasks of a run hang together.
type Shape string

// The shapes. In layers each task needs all tasks of the layer before.
const (
	Single  Shape = "single"
	Chain   Shape = "chain"   // length tasks, one after the other
	Wide    Shape = "wide"    // width tasks that need nothing
	Diamond Shape = "diamond" // one task, two that need it, and one that needs both
	FanIn   Shape = "fan-in"  // width tasks, and one that needs them all
	Layers  Shape = "layers"  // length layers of width tasks
)

// Shapes lists every shape.
func Shapes() []Shape { return []Shape{Single, Chain, Wide, Diamond, FanIn, Layers} }

// HasLength and HasWidth say which measures a shape has.
func (s Shape) HasLength() bool { return s == Chain || s == Layers }

// HasWidth see HasLength.
func (s Shape) HasWidth() bool { return s == Wide || s == FanIn || s == Layers }

// maxEdges bounds the dependencies of one run: a definition is stored and read as one document.
const maxEdges = 200_000

// ErrShape is a run that would be too large.
var ErrShape = errors.New("the run is too large")

// Graph gives the needs of each task of a run by their places, each task after those that it needs.
func (s Shape) Graph(length, width int) ([][]int, error) {
	var rows []int // tasks a layer
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
			return nil, fmt.Errorf("%w: length %d, and a pipeline has at most %d tasks", ErrShape, length, definition.MaxTasks)
		}
		for range length {
			rows = append(rows, width)
		}
	default:
		return nil, fmt.Errorf("there is no shape %q", s)
	}
	return layered(rows)
}

// layered joins each layer with the whole of the one before.
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

// nameOf is the name of a task by its place.
func nameOf(place int) string { return "t" + strconv.Itoa(place) }

// placeOf is the opposite of nameOf; -1 for another name.
func placeOf(name string) int {
	if len(name) < 2 || name[0] != 't' {
		return -1
	}
	n, err := strconv.Atoi(name[1:])
	if err != nil {
		return -1
	}
	return n
}

// define makes the definition of a graph whose tasks all are as the template.
func define(catalog definition.HandlerSource, name string, graph [][]int, template definition.Task) (*definition.Definition, error) {
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
