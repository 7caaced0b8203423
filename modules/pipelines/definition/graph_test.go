package definition_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

func TestOrderAndDescendants(t *testing.T) {
	d := parse(t, `
name: p
tasks:
  - {id: last, needs: [left, right], run: "true"}
  - {id: right, needs: root, run: "true"}
  - {id: left, needs: root, run: "true"}
  - {id: alone, run: "true"}
  - {id: root, run: "true"}
`)
	want := map[string][]string{
		"order": {"alone", "root", "right", "left", "last"},
		"root":  {"right", "left", "last"}, "left": {"last"}, "last": {}, "alone": {}, "unknown": {},
	}
	got := map[string][]string{"order": d.Order()}
	for id := range want {
		if id != "order" {
			got[id] = d.Descendants(id)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"right", "left"}, d.Dependents("root")); diff != "" {
		t.Error(diff)
	}
}

func TestLongCycleIsShortened(t *testing.T) {
	d := definition.Definition{Name: "p"}
	for i := range 1000 {
		d.Tasks = append(d.Tasks,
			definition.Task{ID: fmt.Sprint(i), Run: "true", Needs: []string{fmt.Sprint((i + 1) % 1000)}})
	}
	want := "tasks[0].needs[0]: cycle: 0 → 1 → 2 → 3 → 4 → 5 → 6 → 7 → 8 → 9 → " +
		"… → 992 → 993 → 994 → 995 → 996 → 997 " +
		"→ 998 → 999 → 0 " +
		"(each needs the next; take one of these needs away)"
	if err := d.Check(nil); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// graph generates an acyclic graph with its tasks in any order.
func graph(t *rapid.T) *definition.Definition {
	n := rapid.IntRange(1, 25).Draw(t, "tasks")
	d := &definition.Definition{Name: "p"}
	for i := range n {
		task := definition.Task{ID: fmt.Sprintf("t%d", i), Run: "true"}
		for j := range i {
			if rapid.IntRange(0, 3).Draw(t, "edge") == 0 {
				task.Needs = append(task.Needs, fmt.Sprintf("t%d", j))
			}
		}
		d.Tasks = append(d.Tasks, task)
	}
	d.Tasks = rapid.Permutation(d.Tasks).Draw(t, "declared")
	return d
}

func TestOrderRespectsNeeds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := graph(t)
		if err := d.Check(nil); err != nil {
			t.Fatal(err)
		}
		order := d.Order()
		if len(order) != len(d.Tasks) {
			t.Fatalf("%d of %d tasks in %v", len(order), len(d.Tasks), order)
		}
		for i, id := range order {
			task, _ := d.Task(id)
			for _, need := range task.Needs {
				if !slices.Contains(order[:i], need) {
					t.Fatalf("%s stands before %s in %v", id, need, order)
				}
				if !slices.Contains(d.Dependents(need), id) {
					t.Fatalf("%s is no dependent of %s", id, need)
				}
			}
			if want := below(d, id); !slices.Equal(d.Descendants(id), want) {
				t.Fatalf("descendants of %s: %v, want %v", id, d.Descendants(id), want)
			}
		}
	})
}

// below returns the descendants, found in one pass over the order.
func below(d *definition.Definition, id string) []string {
	found := []string{}
	for _, next := range d.Order() {
		task, _ := d.Task(next)
		if slices.ContainsFunc(task.Needs, func(n string) bool { return n == id || slices.Contains(found, n) }) {
			found = append(found, next)
		}
	}
	return found
}

var cycleText = regexp.MustCompile(`cycle: (.*) \(each`)

func TestBackEdgeIsACycle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := graph(t)
		if err := d.Check(nil); err != nil {
			t.Fatal(err)
		}
		from := rapid.SampledFrom(d.Tasks).Draw(t, "from").ID
		downstream := d.Descendants(from)
		if len(downstream) == 0 {
			return
		}
		back := rapid.SampledFrom(downstream).Draw(t, "back")
		task, _ := d.Task(from)
		task.Needs = append(task.Needs, back)
		err := d.Check(nil)
		if err == nil {
			t.Fatalf("%s needs %s, and no cycle was found", from, back)
		}
		for _, line := range strings.Split(err.Error(), "\n") {
			m := cycleText.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("another mistake: %s", line)
			}
			path := strings.Split(m[1], " → ")
			if len(path) > 19 {
				continue
			}
			for i := range len(path) - 1 {
				step, ok := d.Task(path[i])
				if !ok || !slices.Contains(step.Needs, path[i+1]) {
					t.Fatalf("%s does not need %s: %s", path[i], path[i+1], line)
				}
			}
			if path[0] != path[len(path)-1] {
				t.Fatalf("the path is not closed: %s", line)
			}
		}
	})
}
