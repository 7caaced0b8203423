package app_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestHandlersReference checks that docs/handlers.md lists the settings of each handler and the kinds of errors.
func TestHandlersReference(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/handlers.md")
	if err != nil {
		t.Fatal(err)
	}
	p := &program{url: dbtest.SQLiteURL(t)}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
	for _, section := range strings.Split(string(doc), "\n## ")[1:] {
		title, text, _ := strings.Cut(section, "\n")
		settings, _, _ := strings.Cut(text, "\n| output |")
		var listed []string
		for _, m := range row.FindAllStringSubmatch(settings, -1) {
			listed = append(listed, m[1])
		}
		slices.Sort(listed)
		switch title {
		case "shell":
		case "Error kinds":
			var kinds []string
			for _, k := range tasks.ErrorKinds() {
				kinds = append(kinds, string(k))
			}
			slices.Sort(kinds)
			if diff := cmp.Diff(kinds, listed); diff != "" {
				t.Errorf("kinds of error (-program +page):\n%s", diff)
			}
		default:
			if diff := cmp.Diff(p.settingsOf(t, title), listed); diff != "" {
				t.Errorf("settings of %s (-program +page):\n%s", title, diff)
			}
		}
	}
}

// settingsOf finds out what settings a handler has, with a setting that it does not have.
func (p *program) settingsOf(t *testing.T, handler string) []string {
	t.Helper()
	r := p.run(t, "validate", file(t, "x.yaml", "name: x\ntasks: [{id: a, uses: "+handler+", with: {zzzz: 1}}]"))
	m := regexp.MustCompile(`\(known keys: ([a-z_, ]+)\)`).FindStringSubmatch(r.stdout + r.stderr)
	if m == nil {
		t.Fatalf("%s: no settings in\n%s%s", handler, r.stdout, r.stderr)
	}
	list := strings.Split(m[1], ", ")
	slices.Sort(list)
	return list
}
