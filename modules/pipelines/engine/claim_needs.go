package engine

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// needsPart is how many outputs are read at once if all of them could exceed the limit.
const needsPart = 32

// few reports whether this number of outputs cannot exceed the limit. A stored output has at most twice tasks.MaxOutput
// bytes.
func (e *Engine) few(outputs int) bool { return outputs <= e.maxNeedsBytes/(2*tasks.MaxOutput) }

// loadNeeds loads the outputs that the claimed tasks read. Those of tasks that end in this transaction come from its
// plan, the others from the database.
func (t *exchange) loadNeeds() error {
	var stored []tasks.Key
	for i := range t.claims {
		c := &t.claims[i]
		list := c.Definition.RequiredOutputs()
		if len(list) > 0 {
			c.Needs = make(map[string]json.RawMessage, len(list))
		}
		if !t.engine.few(len(list)) {
			if err := t.manyNeeds(c, list); err != nil {
				return err
			}
			continue
		}
		plan := t.planOf(c)
		for _, name := range list {
			if output, ok := plan.Completes(name); ok {
				c.Needs[name] = output
			} else {
				stored = append(stored, keyOf(c, name))
			}
		}
	}
	if len(stored) == 0 {
		return nil
	}
	found, err := t.engine.tasks.Outputs(t.tx, distinct(stored))
	if err != nil {
		return err
	}
	for i := range t.claims {
		c := &t.claims[i]
		list := c.Definition.RequiredOutputs()
		if !t.engine.few(len(list)) {
			continue
		}
		plan := t.planOf(c)
		for _, name := range list {
			if _, ok := plan.Completes(name); !ok {
				c.Needs[name] = json.RawMessage(found[keyOf(c, name)])
			}
		}
	}
	return nil
}

func keyOf(c *pipelines.Claim, task string) tasks.Key {
	return tasks.Key{PipelineExecutionID: c.Task.PipelineExecutionID, TaskName: task}
}

// manyNeeds loads the outputs that one task reads, in parts. If they exceed the limit together, it sets c.Excess and
// stops.
func (t *exchange) manyNeeds(c *pipelines.Claim, list []string) error {
	s, plan := sizeSum{limit: t.engine.maxNeedsBytes}, t.planOf(c)
	for part := range slices.Chunk(list, needsPart) {
		var stored []tasks.Key
		for _, name := range part {
			if output, ok := plan.Completes(name); ok {
				c.Needs[name] = output
			} else {
				stored = append(stored, keyOf(c, name))
			}
		}
		found := map[tasks.Key]dbtype.JSON{}
		if len(stored) > 0 {
			var err error
			if found, err = t.engine.tasks.Outputs(t.tx, stored); err != nil {
				return err
			}
		}
		for _, name := range stored {
			c.Needs[name.TaskName] = json.RawMessage(found[name])
		}
		for _, name := range part {
			s.add(name, len(c.Needs[name]))
		}
		if c.Excess = s.excess(fmt.Sprintf("task %q", c.Task.TaskName), len(list)); c.Excess != nil {
			c.Needs = nil
			return nil
		}
	}
	return nil
}

// sizeSum adds up the sizes of outputs, in bytes.
type sizeSum struct {
	limit              int // in bytes
	tasks, bytes, most int
	largest            string
}

func (s *sizeSum) add(name string, size int) {
	s.tasks, s.bytes = s.tasks+1, s.bytes+size
	if size > s.most {
		s.most, s.largest = size, name
	}
}

// excess returns an error if the sum exceeds the limit, and nil otherwise. reader names what reads the outputs, and all
// is their number.
func (s *sizeSum) excess(reader string, all int) error {
	if s.bytes <= s.limit {
		return nil
	}
	const mib = 1 << 20
	return fmt.Errorf("the outputs that %s reads are too large together: the first %d of %d have %.1f MiB, more "+
		"than the "+
		"limit of %.1f MiB (the largest: %s, %.1f MiB); write large results to files and put their paths into "+
		"the outputs",
		reader, s.tasks, all, float64(s.bytes)/mib, float64(s.limit)/mib, s.largest, float64(s.most)/mib)
}
