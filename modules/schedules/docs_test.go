package schedules_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/schedules"
)

// TestDocumentedExamples computes the due times in the table of docs/schedules.md.
func TestDocumentedExamples(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/schedules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "<!-- examples -->\n")
	table, _, _ = strings.Cut(table, "\n## ")
	examples := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.Contains(cells[1], "`") {
			continue
		}
		examples++
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		spec := schedules.Spec{Cron: strings.Trim(cells[1], "`"), Timezone: cells[2]}
		if slices.Contains(schedules.MissingTimes(), cells[3]) {
			spec.MissingTime = cells[3]
		} else {
			spec.RepeatedTime = cells[3]
		}
		s := compile(t, spec)
		after, err := time.ParseInLocation("2006-01-02 15:04", cells[4], s.Location())
		if err != nil {
			t.Fatal(line, err)
		}
		want := strings.Split(cells[5], ", ")
		var have []string
		for d := range s.After(after) {
			if have = append(have, d.At.In(s.Location()).Format("01-02 15:04-07:00")); len(have) == len(want) {
				break
			}
		}
		if !slices.Equal(have, want) {
			t.Errorf("%+v after %s: due %q, and the page says %q", spec, cells[4], have, want)
		}
	}
	if examples < 15 {
		t.Errorf("found %d examples", examples)
	}
}
