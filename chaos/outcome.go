package chaos

import (
	"context"
	"fmt"

	"github.com/sluiceworks/sluice/chaos/step"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// executions checks that each run ended as its pipeline does without faults. Only a run that has an abandoned task
// may end otherwise. It returns the number of such runs. confirmed are the runs that were confirmed to a client, all of
// which must exist.
func executions(ctx context.Context, d *db.DB, confirmed []dbtype.ID) (abandoned int, breaches []string, err error) {
	fails, found := map[string]bool{}, map[dbtype.ID]bool{}
	for _, s := range step.Shapes() {
		fails[s.Definition.Name] = s.Fails
	}
	err = d.Query(ctx, `SELECT p.id, p.pipeline_name, p.status, p.error,
(SELECT COUNT(*) FROM {task_executions} t WHERE t.pipeline_execution_id = p.id AND t.status = 'Abandoned')
  FROM {pipeline_executions} p`, nil,
		func(scan db.Scan) error {
			var id dbtype.ID
			var name string
			var status pipelines.Status
			var failure dbtype.Text
			var given int
			if err := scan(&id, &name, &status, &failure, &given); err != nil {
				return err
			}
			found[id] = true
			expected := pipelines.Completed
			if fails[name] {
				expected = pipelines.Failed
			}
			switch {
			case given > 0:
				abandoned++
			case status != expected && status.Terminal():
				breaches = append(breaches,
					fmt.Sprintf("run %s of %s is %s, expected %s: %s", id, name, status, expected, failure))
			}
			return nil
		})
	for _, id := range confirmed {
		if !found[id] {
			breaches = append(breaches, fmt.Sprintf("run %s is not there, and its start was confirmed to a client", id))
		}
	}
	return abandoned, breaches, err
}
