package definition

import (
	"container/heap"
	"slices"
	"sort"
	"strings"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
)

// buildGraph indexes the tasks, checks their needs and sorts them topologically. Tasks without an id or with a
// duplicate id are reported and left out of the graph.
func (d *Definition) buildGraph(r *yamlfile.Decoder) {
	d.index = make(map[string]int, len(d.Tasks))
	ids := make([]string, 0, len(d.Tasks))
	for i := range d.Tasks {
		id := d.Tasks[i].ID
		if id == "" {
			r.Add(taskPath(i).Key("id"), "give it a name that needs can refer to", "the task has no id")
			continue
		}
		if first, twice := d.index[id]; twice {
			r.Add(taskPath(i).Key("id"), "", "the id %q is taken by task number %d", id, first+1)
			continue
		}
		d.index[id] = i
		ids = append(ids, id)
	}
	d.dependents = make([][]string, len(d.Tasks))
	for i := range d.Tasks {
		d.linkNeeds(r, i, ids)
	}
	d.sort(r)
}

func (d *Definition) linkNeeds(r *yamlfile.Decoder, i int, ids []string) {
	t := &d.Tasks[i]
	seen := make(map[string]bool, len(t.Needs))
	for j, need := range t.Needs {
		at := func() *yamlfile.Path { return taskPath(i).Key("needs").Item(j) }
		n, ok := d.index[need]
		switch {
		case seen[need]:
			r.Add(at(), "name it once", "duplicate name %q in needs", need)
		case need == t.ID && need != "":
			r.Add(at(), "", "the task %q needs itself", need)
		case !ok:
			if !r.IsSuppressed(at()) {
				r.Add(at(), r.Suggest(need, ids), "unknown task %q in needs", need)
			}
		case t.ID != "":
			d.dependents[n] = append(d.dependents[n], t.ID)
		}
		seen[need] = true
	}
}

// sort sorts the tasks topologically. Among the tasks that could come next, the one declared first comes first.
func (d *Definition) sort(r *yamlfile.Decoder) {
	waiting := make([]int, len(d.Tasks)) // dependencies that are not in the order yet
	for i := range d.dependents {
		for _, id := range d.dependents[i] {
			waiting[d.index[id]]++
		}
	}
	next := &sort.IntSlice{}
	free := taskHeap{next}
	for i := range d.Tasks {
		if waiting[i] == 0 {
			heap.Push(free, i)
		}
	}
	d.order, d.rank = make([]int, 0, len(d.Tasks)), make([]int, len(d.Tasks))
	for next.Len() > 0 {
		i := heap.Pop(free).(int)
		d.rank[i] = len(d.order)
		d.order = append(d.order, i)
		for _, id := range d.dependents[i] {
			n := d.index[id]
			if waiting[n]--; waiting[n] == 0 {
				heap.Push(free, n)
			}
		}
	}
	if len(d.order) < len(d.Tasks) {
		d.reportCycles(r, waiting)
	}
}

// taskHeap is a heap of indexes in Tasks.
type taskHeap struct{ *sort.IntSlice }

func (p taskHeap) Push(x any) { *p.IntSlice = append(*p.IntSlice, x.(int)) }

func (p taskHeap) Pop() any {
	old := *p.IntSlice
	last := old[len(old)-1]
	*p.IntSlice = old[:len(old)-1]
	return last
}

// reportCycles reports each cycle that it finds once. From each task that never became free it follows the first need
// that never did. Every such walk ends in a cycle.
func (d *Definition) reportCycles(r *yamlfile.Decoder, waiting []int) {
	walks := make([]int, len(d.Tasks)) // by index: the number of the walk that passed the task
	for start := range d.Tasks {
		if waiting[start] == 0 || walks[start] != 0 {
			continue
		}
		var path []int
		at := start
		for walks[at] == 0 {
			walks[at] = start + 1
			path = append(path, at)
			at = d.stuckNeed(at, waiting)
		}
		if walks[at] == start+1 {
			d.reportCycle(r, path[slices.Index(path, at):])
		}
	}
}

func (d *Definition) stuckNeed(i int, waiting []int) int {
	for _, need := range d.Tasks[i].Needs {
		if n, ok := d.index[need]; ok && n != i && waiting[n] > 0 {
			return n
		}
	}
	return i
}

func (d *Definition) reportCycle(r *yamlfile.Decoder, cycle []int) {
	first := slices.Index(cycle, slices.Min(cycle))
	cycle = append(cycle[first:len(cycle):len(cycle)], cycle[:first]...)
	ids := make([]string, 0, len(cycle)+1)
	for _, i := range cycle {
		ids = append(ids, d.Tasks[i].ID)
	}
	ids = append(ids, ids[0])
	if len(ids) > 20 {
		ids = slices.Concat(ids[:10], []string{"…"}, ids[len(ids)-9:])
	}
	needs := d.Tasks[cycle[0]].Needs
	at := taskPath(cycle[0]).Key("needs").Item(slices.Index(needs, d.Tasks[cycle[1]].ID))
	r.Add(at, "each needs the next; take one of these needs away", "cycle: %s", strings.Join(ids, " → "))
}

// Order returns the ids of the tasks so that each task comes after all that it needs, otherwise in the order of
// declaration.
func (d *Definition) Order() []string {
	ids := make([]string, len(d.order))
	for i, n := range d.order {
		ids[i] = d.Tasks[n].ID
	}
	return ids
}

// Descendants returns the ids of all tasks downstream of the given one, in topological order and without itself.
func (d *Definition) Descendants(id string) []string {
	var found []int
	seen := map[string]bool{id: true}
	for queue := []string{id}; len(queue) > 0; queue = queue[1:] {
		for _, next := range d.Dependents(queue[0]) {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
				found = append(found, d.index[next])
			}
		}
	}
	slices.SortFunc(found, func(a, b int) int { return d.rank[a] - d.rank[b] })
	ids := make([]string, len(found))
	for i, n := range found {
		ids[i] = d.Tasks[n].ID
	}
	return ids
}
