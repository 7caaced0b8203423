package engine

import (
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// pasts loads Past of the claims with expressions that read how dependencies ended.
func (t *exchange) pasts() error {
	var stored []tasks.Key
	for i := range t.claims {
		c := &t.claims[i]
		for _, name := range c.Definition.PastsNeeded() {
			stored = append(stored, tasks.Key{PipelineExecutionID: c.Task.PipelineExecutionID, TaskName: name})
		}
	}
	if len(stored) == 0 {
		return nil
	}
	b := t.tx.Batch()
	list := t.engine.tasks.LoadByKey(b, distinct(stored))
	if err := b.Send(); err != nil {
		return err
	}
	found := make(map[tasks.Key]tasks.Task, len(*list))
	for _, task := range *list {
		found[tasks.Key{PipelineExecutionID: task.PipelineExecutionID, TaskName: task.TaskName}] = task
	}
	for i := range t.claims {
		c := &t.claims[i]
		names := c.Definition.PastsNeeded()
		if len(names) > 0 {
			c.Past = make(map[string]expr.Past, len(names))
		}
		for _, name := range names {
			task := found[tasks.Key{PipelineExecutionID: c.Task.PipelineExecutionID, TaskName: name}]
			if changed, ok := t.planOf(c).Changed(name); ok {
				task = changed // it ends in this transaction
			}
			c.Past[name] = pipelines.PastOf(task)
		}
	}
	return nil
}
