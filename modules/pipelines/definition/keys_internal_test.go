package definition

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestYAMLReference checks that docs/yaml.md lists exactly the keys that the program accepts.
func TestYAMLReference(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../../docs/yaml.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
	listed := map[string][]string{}
	for _, section := range strings.Split(string(doc), "\n## ")[1:] {
		title, text, _ := strings.Cut(section, "\n")
		for _, m := range row.FindAllStringSubmatch(text, -1) {
			listed[title] = append(listed[title], m[1])
		}
		slices.Sort(listed[title])
	}
	want := map[string][]string{
		"The pipeline": slices.Clone(pipelineKeys), "Input": slices.Clone(fieldKeys),
		"Tasks":    slices.Clone(allTaskKeys),
		"Defaults": slices.Concat(defaultsKeys, commandKeys), "Retry": slices.Clone(retryKeys),
		"Retention": slices.Clone(retainKeys),
	}
	for _, keys := range want {
		slices.Sort(keys)
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("docs/yaml.md (-program +page):\n%s", diff)
	}
}
