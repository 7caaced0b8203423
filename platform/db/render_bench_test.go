package db

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// BenchmarkRender renders a statement with a set as large as the engine's, without sending it.
func BenchmarkRender(b *testing.B) {
	now := dbtype.NewTime(time.Unix(1e9, 0))
	for _, d := range []backend{&sqlite{}, &postgres{}} {
		for _, n := range []int{1, 64, 256} {
			ids, texts, ints, times := make([]dbtype.ID, n), make([]string, n), make([]int64, n), make([]dbtype.Time, n)
			for i := range n {
				ids[i], texts[i], ints[i], times[i] = dbtype.NewID(), "text", int64(i), now
			}
			b.Run(fmt.Sprintf("%s-%d", d.name(), n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					set := IDRows(ids).Texts("status", texts).Ints("version", ints).Times("completed_at", times)
					_, values, err := render(d, "acme",
						`UPDATE {task_executions} AS t SET status = x.status,
  version = x.version + 1, completed_at = $now
FROM $x WHERE t.id = x.id AND t.version = x.version`, Args{"x": set, "now": now})
					if err != nil || len(values) == 0 {
						b.Fatal(len(values), err)
					}
				}
			})
		}
	}
}
