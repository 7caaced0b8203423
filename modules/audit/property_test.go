package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// move makes a random legal step, and reports whether there was one.
func (s *sim) move(t *rapid.T) bool {
	var steps []func()
	worker := fmt.Sprint("w", rapid.IntRange(1, 3).Draw(t, "worker"))
	for _, x := range s.tasks {
		name := x.name
		switch {
		case x.status == tasks.Ready && s.status == "Running":
			steps = append(steps, func() { s.claim(name, worker) }, func() { s.claim(name, worker) },
				func() { s.abandon(name) })
		case x.status == tasks.Running:
			steps = append(steps, func() { s.complete(name) }, func() { s.complete(name) },
				func() { s.fail(name, "boom") },
				func() { s.deferTask(name) }, func() { s.recover(name) }, func() { s.release(name) },
				func() { s.annotate(x) })
			if x.attempt-x.recover < x.max {
				steps = append(steps, func() { s.retry(name, "again") })
			}
		}
	}
	switch s.status {
	case "Running":
		steps = append(steps, s.pause, func() { s.annotate(nil) })
	case "Paused":
		steps = append(steps, s.resume, s.resume)
	case "Completed", "Failed", "Cancelled":
		steps = append(steps, s.restart)
	}
	if s.status == "Running" && rapid.IntRange(0, 9).Draw(t, "cancel") == 0 {
		steps = append(steps, s.cancel)
	}
	if len(steps) == 0 {
		return false
	}
	steps[rapid.IntRange(0, len(steps)-1).Draw(t, "step")]()
	return true
}

// randomSim returns a random graph after a random number of legal steps.
func randomSim(t *rapid.T) *sim {
	rules := append(sortedKeys(rules), "all_success", "all_success")
	specs := make([]simSpec, rapid.IntRange(1, 6).Draw(t, "tasks"))
	for i := range specs {
		specs[i].name = fmt.Sprint("t", i)
		for j := range i {
			if rapid.IntRange(0, 2).Draw(t, "edge") == 0 {
				specs[i].needs = append(specs[i].needs, fmt.Sprint("t", j))
			}
		}
		if specs[i].needs != nil {
			specs[i].continues = rapid.IntRange(0, 3).Draw(t, "continues") == 0
			specs[i].rule = rapid.SampledFrom(rules).Draw(t, "rule")
		}
	}
	s := startSim(specs...)
	for range rapid.IntRange(0, 40).Draw(t, "steps") {
		if !s.move(t) {
			break
		}
	}
	return s
}

// mutate makes one relevant change to the rows or the events, and describes it.
func (s *sim) mutate(t *rapid.T) string {
	if rapid.Bool().Draw(t, "mutate an event") {
		return s.mutateEvent(t)
	}
	if rapid.IntRange(0, 3).Draw(t, "mutate the pipeline") == 0 {
		return s.mutatePipeline(t)
	}
	x := rapid.SampledFrom(s.tasks).Draw(t, "task")
	later := dbtype.NewTime(s.now.Add(1000))
	changes := map[string]func(){
		"status":       func() { x.status = rapid.SampledFrom(without(tasks.Statuses(), x.status)).Draw(t, "status") },
		"sub_status":   func() { x.sub += "x" },
		"version":      func() { x.version++ },
		"attempt":      func() { x.attempt++ },
		"max_attempts": func() { x.max++ },
		"remaining":    func() { x.remaining++ },
		"recoveries":   func() { x.recover++ },
		"worker":       func() { x.worker += "x" },
		"error":        func() { x.err += "x" },
		"error_kind":   func() { x.errKind += "x" },
		"skip_reason":  func() { x.reason += "x" },
		"name":         func() { x.name += "x" },
		"retry_at":     func() { x.retryAt = later },
		"created_at":   func() { x.created = later },
		"started_at":   func() { x.started = later },
		"completed_at": func() { x.completed = later },
	}
	name := rapid.SampledFrom(sortedKeys(changes)).Draw(t, "column")
	changes[name]()
	return "task " + x.name + ": " + name
}

func (s *sim) mutatePipeline(t *rapid.T) string {
	later := dbtype.NewTime(s.now.Add(1000))
	changes := map[string]func(){
		"status": func() {
			s.status = rapid.SampledFrom(without([]string{"Running", "Paused", "Completed", "Failed", "Cancelled"},
				s.status)).Draw(t, "status")
		},
		"version":        func() { s.version-- },
		"attempt":        func() { s.attempt++ },
		"error":          func() { s.err += "x" },
		"name":           func() { s.id += "x" },
		"definition":     func() { s.definition += "x" },
		"events_removed": func() { s.removed = 1 },
		"created_at":     func() { s.created = later },
		"completed_at":   func() { s.ended = later },
		"paused_at":      func() { s.pausedAt = later },
	}
	name := rapid.SampledFrom(sortedKeys(changes)).Draw(t, "column")
	changes[name]()
	return "pipeline: " + name
}

func (s *sim) mutateEvent(t *rapid.T) string {
	i := rapid.IntRange(0, len(s.events)-1).Draw(t, "event")
	for s.events[i].version == 0 {
		i-- // the first event is not an annotation
	}
	e := &s.events[i]
	was := *e
	switch rapid.IntRange(0, 6).Draw(t, "change") {
	case 0:
		s.events = append(s.events[:i:i], s.events[i+1:]...)
		return "removed " + was.typ
	case 1:
		s.events = append(s.events, was)
		return "doubled " + was.typ
	case 2:
		e.version += int64(rapid.SampledFrom([]int{-1, 1, 2, 1 << 40}).Draw(t, "version"))
		return "version of " + was.typ
	case 3:
		types := []string{}
		for typ := range legal {
			// If a later restart undoes them, nothing distinguishes a skip from a cancellation.
			undone := e.typ == "task_skipped" && typ == events.TaskCancelled
			if string(typ) != e.typ && !undone {
				types = append(types, string(typ))
			}
		}
		e.typ = rapid.SampledFrom(without(sortedStrings(types), e.typ)).Draw(t, "type")
		return was.typ + " made " + e.typ
	case 4:
		e.task = dbtype.NewID()
		return "another task for " + was.typ
	case 5:
		if len(required[eventType(e.typ)]) == 0 {
			e.version = 0
			return "no version for " + was.typ
		}
		e.data = `{}`
		return "no data of " + was.typ
	}
	return s.mutateData(t, e)
}

// mutateData changes a number of an event's data that the fold must notice, or removes a required key.
func (s *sim) mutateData(t *rapid.T, e *simEvent) string {
	var data map[string]any
	if err := json.Unmarshal([]byte(e.data), &data); err != nil {
		t.Fatal(err)
	}
	keys := required[eventType(e.typ)]
	if len(keys) == 0 {
		e.typ = "nonsense"
		return "a nonsense type"
	}
	k := rapid.SampledFrom(keys).Draw(t, "key").name
	folded := map[string]bool{
		"attempt": true, "next_attempt": true, "max_attempts": e.typ == "task_created",
		"recoveries": true, "task_count": true,
	}
	if n, ok := data[k].(float64); ok && folded[k] {
		data[k] = n + 1
	} else {
		delete(data, k)
	}
	raw, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	e.data = string(raw)
	return k + " of " + e.typ
}

func TestRandomHistoriesAreCleanAndEachMutationIsFound(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		rapid.Check(t, func(rt *rapid.T) {
			s := randomSim(rt)
			put := func(do func(tx db.Tx) error) {
				if err := d.Transaction(t.Context(), do); err != nil {
					rt.Fatal(err)
				}
			}
			put(s.write)
			if r := verify(t, d, Options{IDs: []dbtype.ID{s.pid}}); !r.OK() {
				rt.Fatalf("a legal history:\n%s", r)
			}
			put(s.remove)
			what := s.mutate(rt)
			put(s.write)
			if r := verify(t, d, Options{IDs: []dbtype.ID{s.pid}}); r.OK() {
				rt.Errorf("not found: %s", what)
			}
			put(s.remove)
		})
	})
}

func TestWritersMakeNoFalseAlarmAndAreNotBlocked(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		for w := range 3 {
			writers.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					s := randomExample(w*1000 + i)
					steps := []func(tx db.Tx) error{s.write}
					if i%2 == 0 {
						steps = append(steps, func(tx db.Tx) error {
							if err := s.remove(tx); err != nil || s.status != "Running" {
								return err
							}
							s.cancel()
							return s.write(tx)
						})
					}
					for _, step := range steps {
						if err := d.Transaction(ctx, step); err != nil && ctx.Err() == nil {
							t.Error(err)
						}
					}
				}
			})
		}
		a := New(d)
		a.pagePipelines, a.pageTasks = 3, 10
		most := 0
		for most < 60 && !t.Failed() {
			r, err := a.Verify(ctx, Options{})
			if err != nil || !r.OK() {
				t.Errorf("%v\n%s", err, r)
			}
			most = max(most, r.Executions)
		}
		cancel()
		writers.Wait()
	})
}

func randomExample(seed int) *sim { return rapid.Custom(randomSim).Example(seed) }
